"""Fusion against plain NumPy; padding changes nothing, and neither does what was not learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fakes import FakeEncoder
from videomm.errors import InvalidInputError
from videomm.models.fusion import (
    DEFAULT_WEIGHT,
    SpeechFusion,
    Spoken,
    join_spoken,
    no_speech,
    said_at,
)
from videomm.models.video_model import VideoModel
from videomm.types import Speech, Subtitle, Timeline

DIM = 16
ALL = ("early", "late", "hybrid")


def unit(*shape, seed=0):
    rows = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return torch.from_numpy(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def spoken(spans, seed=3):
    spans = torch.tensor(spans, dtype=torch.float64)
    return Spoken(unit(1, len(spans), DIM, seed=seed), spans[None], torch.ones(1, len(spans)) > 0)


def model(fusion, learned=False):
    torch.manual_seed(0)
    out = VideoModel(FakeEncoder({"a": np.eye(DIM)[0]}), fusion=fusion)
    if learned:
        for parameter in out.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return out.eval()


TIMES = torch.tensor([[0.5, 1.0, 2.0, 4.0]], dtype=torch.float64)
FRAMES, TEXTS = unit(1, 4, DIM, seed=1), unit(3, DIM, seed=2)
# Before the first frame; across two frames; two at once; touching a frame's end; long after.
SPANS = [(0.0, 0.2), (0.9, 1.1), (2.5, 3.0), (2.6, 2.7), (3.0, 4.0), (100.0, 101.0)]


def test_said_at_is_the_mean_of_the_texts_within_each_frames_time():
    said = spoken(SPANS)
    out = said_at(TIMES, said)[0].numpy()
    texts = said.embeddings[0].numpy()
    within = [[0, 1], [1], [2, 3, 4], [5]]
    for frame, places in enumerate(within):
        np.testing.assert_allclose(out[frame], texts[places].mean(axis=0), atol=1e-6)
    assert not said_at(TIMES, no_speech(1, DIM)).any()
    quiet = said_at(TIMES, spoken([(2.0, 3.0)]))[0]
    assert not quiet[[0, 1, 3]].any()
    assert quiet[2].any()


def test_late_fusion_is_what_it_says_in_numpy():
    fused = model("late", learned=True)
    speech, said = fused.speech, spoken(SPANS)
    speech.sharpness.data.fill_(7.0)
    context = fused.context(FRAMES, TIMES, None, said)
    videos, frames = fused.judge(context, TIMES, TEXTS, said)
    heard = said_at(TIMES, said)[0].numpy()
    weights = {key: value.detach().numpy() for key, value in fused.state_dict().items()}
    sims = context.frames[0].detach().numpy() @ weights["classifier.weight"] @ TEXTS.numpy().T
    sims += weights["speech.weight"] * heard @ weights["speech.similarity"] @ TEXTS.numpy().T
    shares = np.exp(7 * sims) / np.exp(7 * sims).sum(axis=0)
    scale = weights["classifier.logit_scale"]
    np.testing.assert_allclose(frames[0].detach().numpy(), scale * sims, atol=1e-4)
    pooled = (shares * sims).sum(axis=0)
    np.testing.assert_allclose(videos[0].detach().numpy(), scale * pooled, atol=1e-4)
    again = fused(FRAMES, TIMES, TEXTS, None, said)
    assert torch.equal(again, videos)


def test_pooling_goes_from_the_mean_to_the_best_moment():
    speech = SpeechFusion(DIM, "late")
    sims = torch.rand(2, 5, 3)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    means = torch.stack([sims[0].mean(dim=0), sims[1, :3].mean(dim=0)])
    torch.testing.assert_close(speech.pool(sims, mask), means)
    speech.sharpness.data.fill_(1e4)
    best = torch.stack([sims[0].amax(dim=0), sims[1, :3].amax(dim=0)])
    torch.testing.assert_close(speech.pool(sims, mask), best)


@pytest.mark.parametrize("fusion", ALL)
def test_padding_does_not_matter(fusion):
    fused = model(fusion, learned=True)
    long, short = spoken(SPANS), spoken([(0.0, 5.0)], seed=5)
    other = unit(1, 2, DIM, seed=6)
    alone = [
        fused(FRAMES, TIMES, TEXTS, None, long),
        fused(other, TIMES[:, :2], TEXTS, None, short),
    ]
    joined = join_spoken([long, short])
    joined.embeddings[1, 1:] = torch.nan
    joined.spans[1, 1:] = 1.0
    frames = torch.cat((FRAMES, torch.cat((other, torch.full((1, 2, DIM), 9.0)), dim=1)))
    times = torch.cat((TIMES, torch.tensor([[0.5, 1.0, 0.0, 0.0]])))
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    together = fused(frames, times, TEXTS, mask, joined)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fusion", ALL)
def test_where_nothing_is_said_the_pictures_are_judged_alone(fusion):
    plain, fused = model("none"), model(fusion)
    assert torch.equal(fused(FRAMES, TIMES, TEXTS), plain(FRAMES, TIMES, TEXTS))
    silent = fused(FRAMES, TIMES, TEXTS, None, no_speech(1, DIM))
    torch.testing.assert_close(silent, plain(FRAMES, TIMES, TEXTS))
    # In a batch, too, where others say something.
    fused = model(fusion, learned=True)
    pair = join_spoken([no_speech(1, DIM), spoken(SPANS)])
    together = fused(FRAMES.repeat(2, 1, 1), TIMES.repeat(2, 1), TEXTS, None, pair)
    torch.testing.assert_close(together[:1], fused(FRAMES, TIMES, TEXTS), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(together[1], together[0])


def test_untrained_early_fusion_is_the_identity_and_hybrid_is_late():
    said = spoken(SPANS)
    scores = {name: model(name)(FRAMES, TIMES, TEXTS, None, said) for name in ("none", *ALL)}
    assert torch.equal(scores["early"], scores["none"])
    assert torch.equal(scores["hybrid"], scores["late"])
    assert not torch.allclose(scores["late"], scores["none"])
    assert model("late").speech.weight.item() == pytest.approx(DEFAULT_WEIGHT)


def test_early_fusion_learns_from_all_it_has():
    fused = model("early", learned=True)
    fused(FRAMES, TIMES, TEXTS, None, spoken(SPANS)).sum().backward()
    assert fused.speech.modality.grad.abs().sum() > 0
    moved = [(start + 3.3, end + 3.3) for start, end in SPANS]
    first, later = (fused(FRAMES, TIMES, TEXTS, None, spoken(item)) for item in (SPANS, moved))
    assert not torch.equal(first, later)  # when something is said counts


def test_without_fusion_a_model_has_the_same_weights_as_ever():
    assert not [key for key in model("none").state_dict() if key.startswith("speech")]
    fused = model("hybrid").state_dict()
    for key, value in model("none").state_dict().items():
        assert torch.equal(value, fused[key])


def test_an_unknown_fusion_names_the_known_ones():
    with pytest.raises(InvalidInputError, match="one of none, early, late, hybrid, got 'middle'"):
        model("middle")


def test_what_is_said_in_a_timeline_reaches_the_model():
    texts = tuple(Subtitle(start, end, "x") for start, end in SPANS)
    embeddings = spoken(SPANS).embeddings[0].numpy()
    timeline = Timeline(
        FRAMES[0].numpy(), TIMES[0].numpy(), 9.0, "fake@0", "x", "none", "", {},
        speech=Speech(texts[:5], embeddings[:5], "a.srt"),
    )  # fmt: skip
    fused = model("late")
    said = fused.said(timeline)
    expected = DEFAULT_WEIGHT * said_at(TIMES, spoken(SPANS[:5], seed=3))
    assert said.shape == (4, DIM)
    np.testing.assert_allclose(said, expected[0].numpy(), atol=1e-6)
    assert model("none").said(timeline) is None
    assert model("early").said(timeline) is None
