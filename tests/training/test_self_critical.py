"""Self-critical training: the reward against pycocoevalcap, gains and loss against naive ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videomm.models.decoder import END, PAD, START, UNKNOWN, DecoderConfig, TextDecoder
from videomm.training.self_critical import CiderReward, advantages, draw_captions, policy_loss

from .conftest import needs_scorer

WORDS = 12


def random_captions(rng: np.random.Generator, number: int) -> list[list[int]]:
    return [
        [START, *rng.integers(END + 1, WORDS, rng.integers(1, 9)).tolist(), END]
        for _ in range(number)
    ]


@needs_scorer
def test_the_reward_is_cider_d_with_the_end_as_a_word() -> None:
    from pycocoevalcap.cider.cider import Cider

    rng = np.random.default_rng(0)
    references = [random_captions(rng, 3) for _ in range(20)]
    captions = random_captions(rng, 20)

    def text(ids: list[int]) -> str:
        return " ".join(f"w{i}" for i in ids[1:])

    _, wanted = Cider().compute_score(
        {i: [text(ids) for ids in row] for i, row in enumerate(references)},
        {i: [text(ids)] for i, ids in enumerate(captions)},
    )
    reward = CiderReward(references)
    given = [reward(i, ids) for i, ids in enumerate(captions)]
    np.testing.assert_allclose(given, wanted, rtol=1e-9, atol=1e-12)
    assert max(wanted) > 0.5


def test_a_person_s_own_caption_is_rewarded_most() -> None:
    references = [[[START, 4, 5, END]], [[START, 6, 7, END]], [[START, 4, 7, END]]]
    reward = CiderReward(references)
    scores = [reward(0, ids) for ids in ([START, 4, 5, END], [START, 4, 6, END], [START, 9, END])]
    assert scores[0] > scores[1] > scores[2] >= 0


def test_gains_are_over_the_other_samples() -> None:
    rewards = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])
    assert advantages(rewards).tolist() == [[-3.0, -1.5, 4.5], [0.0, 0.0, 0.0]]


@pytest.fixture
def decoder() -> TextDecoder:
    torch.manual_seed(0)
    return TextDecoder(DecoderConfig(WORDS, 6, width=16, num_layers=1, num_heads=2)).eval()


def test_the_loss_is_each_caption_s_likelihood_times_its_gain(decoder: TextDecoder) -> None:
    rng = np.random.default_rng(1)
    places = torch.randn(3, 4, 6)
    captions = [random_captions(rng, 2) for _ in range(3)]
    gains = torch.randn(3, 2)
    wanted = 0.0
    for row in range(3):
        for ids, gain in zip(captions[row], gains[row], strict=True):
            logs = decoder(torch.tensor([ids[:-1]]), places[row : row + 1]).log_softmax(-1)[0]
            wanted -= (gain * logs[torch.arange(len(ids) - 1), ids[1:]].sum()).item() / 6
    assert policy_loss(decoder, places, captions, gains).item() == pytest.approx(wanted, rel=0.02)


def test_samples_follow_the_seed(decoder: TextDecoder) -> None:
    places = torch.randn(2, 4, 6)
    drawn = draw_captions(decoder, places, 3, seed=5, max_tokens=8)
    assert drawn == draw_captions(decoder, places, 3, seed=5, max_tokens=8)
    assert drawn != draw_captions(decoder, places, 3, seed=6, max_tokens=8)
    assert [len(row) for row in drawn] == [3, 3]
    for ids in (ids for row in drawn for ids in row):
        assert ids[0] == START
        assert ids[-1] == END or len(ids) == 9
        assert not {PAD, UNKNOWN, START} & set(ids[1:])
        assert END not in ids[1:-1]


def test_samples_are_as_frequent_as_the_decoder_says(decoder: TextDecoder) -> None:
    places = torch.randn(2, 4, 6)
    drawn = draw_captions(decoder, places, 4000, seed=0, max_tokens=2)
    logs = decoder(torch.tensor([[START]] * 2), places)[:, 0].detach().clone()
    logs[:, [PAD, UNKNOWN, START]] = -torch.inf
    chances = logs.softmax(-1)
    for row, captions in enumerate(drawn):
        found = torch.bincount(torch.tensor([ids[1] for ids in captions]), minlength=WORDS) / 4000
        assert torch.allclose(found, chances[row], atol=0.03)


def test_what_is_rewarded_becomes_likely(decoder: TextDecoder) -> None:
    references = [[[START, 4, 5, END]], [[START, 6, 7, END]], [[START, 8, 9, END]]]
    reward = CiderReward(references)
    places = 3 * torch.eye(6)[:3, None]
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)

    def mean_reward(seed: int) -> tuple[float, torch.Tensor]:
        captions = draw_captions(decoder, places, 6, seed=seed, max_tokens=5)
        rewards = [[reward(i, ids) for ids in row] for i, row in enumerate(captions)]
        gains = advantages(torch.tensor(rewards))
        return float(np.mean(rewards)), policy_loss(decoder, places, captions, gains)

    before = np.mean([mean_reward(seed)[0] for seed in range(1000, 1010)])
    for step in range(60):
        optimizer.zero_grad()
        mean_reward(10 * step)[1].backward()
        optimizer.step()
    after = np.mean([mean_reward(seed)[0] for seed in range(1000, 1010)])
    assert after > before + 1
