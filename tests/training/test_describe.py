"""Training of the text decoder: packed losses, resuming, learning, and choosing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from videomm.encoder import FrameEncoder
from videomm.errors import InvalidInputError
from videomm.hub import load_decoder
from videomm.models.decoder import END, START, DecoderConfig, TextDecoder
from videomm.models.describer import Describer
from videomm.models.generation import GenerationConfig
from videomm.training import describe as module
from videomm.training.caption_data import CaptionedPictures, build_tokenizer, caption_ids
from videomm.training.caption_loss import caption_loss, validation_loss
from videomm.training.describe import (
    PENALTIES,
    DescribeConfig,
    choose_generation,
    likelihood,
    load_captioned,
    main,
    reward,
    train_decoder,
)
from videomm.training.image_data import ImageRow

from .conftest import needs_data, needs_scorer

THINGS = ("dog", "cat", "man", "boat")
PLACES = ("beach", "road")
SMALL = DescribeConfig(
    steps=3, batch_size=4, lr=1e-2, warmup_steps=1, measure_every=1, dropout=0.1, ema_decay=0.9
)


def pictures(views: int = 2) -> CaptionedPictures:
    """Eight pictures: what they show is one channel of the first place and one of the second."""
    places = np.zeros((8, 3, 6), np.float16)
    references = []
    for i, thing in enumerate(THINGS):
        for j, place in enumerate(PLACES):
            row = 2 * i + j
            places[row, 0, i] = places[row, 1, 4 + j] = 3
            references.append([f"A {thing} on the {place} .", f"the {thing} is on a {place}"])
    tokenizer = build_tokenizer([c for row in references for c in row], 1)
    return CaptionedPictures([places] * views, caption_ids(tokenizer, references), references)


def new_describer(data: CaptionedPictures, dropout: float = 0.1) -> Describer:
    tokenizer = build_tokenizer([c for row in data.references for c in row], 1)
    torch.manual_seed(0)
    shape = DecoderConfig(
        tokenizer.get_vocab_size(), 6, width=32, num_layers=1, num_heads=2, dropout=dropout
    )
    generation = GenerationConfig(beams=2, max_tokens=10)
    return Describer(TextDecoder(shape), tokenizer, generation, -np.inf, "f")


def test_a_packed_loss_is_that_of_each_caption_alone() -> None:
    data = pictures()
    decoder = new_describer(data).decoder.eval()
    places = torch.from_numpy(data.views[0]).float()
    total = count = 0.0
    for row, captions in enumerate(data.ids):
        for ids in captions:
            logs = decoder(torch.tensor([ids[:-1]]), places[row : row + 1]).log_softmax(-1)[0]
            total -= logs[torch.arange(len(ids) - 1), ids[1:]].sum().item()
            count += len(ids) - 1
    loss = caption_loss(decoder, places, data.ids).item()
    assert loss == pytest.approx(total / count, rel=0.01)
    assert validation_loss(decoder, data, chunk=3) == pytest.approx(total / count, rel=0.01)


@pytest.fixture
def stop_at_second_save(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    saves = 0
    save = module.save_atomic

    def save_and_stop(value: object, path: Path) -> None:
        nonlocal saves
        save(value, path)
        saves += 1
        if saves == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_atomic", save_and_stop)
    return monkeypatch


def test_a_stopped_run_goes_on_to_the_same_weights(
    tmp_path: Path, stop_at_second_save: pytest.MonkeyPatch
) -> None:
    stop_at_second_save.setattr(module, "measure", lambda describer, data: {"cider": 1.0})
    data = pictures()
    stopped, resumed, whole, before = (new_describer(data) for _ in range(4))
    with pytest.raises(KeyboardInterrupt):
        train_decoder(stopped, data, data, tmp_path / "part.pt", SMALL, likelihood(data, SMALL))
    stop_at_second_save.undo()
    stop_at_second_save.setattr(module, "measure", lambda describer, data: {"cider": 1.0})
    train_decoder(resumed, data, data, tmp_path / "part.pt", SMALL, likelihood(data, SMALL))
    train_decoder(whole, data, data, tmp_path / "whole.pt", SMALL, likelihood(data, SMALL))
    for name, value in whole.decoder.state_dict().items():
        assert torch.equal(value, resumed.decoder.state_dict()[name]), name
        assert not torch.equal(value, before.decoder.state_dict()[name]), name
    first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("part", "whole"))
    for name, value in first["decoder"].items():
        assert torch.equal(value, second["decoder"][name]), name


def test_the_weights_of_the_best_measurement_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, states, figures = pictures(), [], iter([1.0, 3.0, 2.0])

    def measure(describer: Describer, data: CaptionedPictures) -> dict[str, float]:
        states.append({k: v.clone() for k, v in describer.decoder.state_dict().items()})
        return {"cider": next(figures)}

    monkeypatch.setattr(module, "measure", measure)
    describer = new_describer(data)
    train_decoder(describer, data, data, tmp_path / "run.pt", SMALL, likelihood(data, SMALL))
    assert all(torch.equal(states[1][k], v) for k, v in describer.decoder.state_dict().items())


def test_a_reward_is_the_loss_of_own_captions_and_the_step_decides_which() -> None:
    data = pictures()
    decoder = new_describer(data, dropout=0.0).decoder
    loss = reward(data, SMALL, max_tokens=6)
    rows, places = [0, 3], torch.from_numpy(data.views[0][[0, 3]]).float()
    seen = torch.ones(places.shape[:2], dtype=torch.bool)
    first, again, other = (loss(decoder, rows, places, seen, seed) for seed in (1, 1, 2))
    assert first.item() == again.item() != other.item()
    first.backward()
    assert decoder.embedding.weight.grad is not None


def test_a_label_is_no_caption_to_be_like() -> None:
    data = pictures()
    labelled = replace(data, ids=[row[:1] for row in data.ids])
    decoder = new_describer(data, dropout=0.0).decoder
    rows, places = [0, 3], torch.from_numpy(data.views[0][[0, 3]]).float()
    seen = torch.ones(places.shape[:2], dtype=torch.bool)
    rewarded = reward(labelled, SMALL, max_tokens=6)(decoder, rows, places, seen, 0)
    known = likelihood(labelled, SMALL)(decoder, rows, places, seen, 0)
    assert rewarded.item() == pytest.approx(known.item(), rel=1e-6)


def test_answers_are_learned_beside_captions() -> None:
    data = pictures()
    tokenizer = new_describer(data).tokenizer
    questions = [[[tokenizer.token_to_id("the"), START, tokenizer.token_to_id("dog"), END]]] * 8
    decoder = new_describer(data, dropout=0.0).decoder
    rows, places = [0, 3], torch.from_numpy(data.views[0][[0, 3]]).float()
    config = replace(SMALL, smoothing=0.0)
    seen = torch.ones(places.shape[:2], dtype=torch.bool)
    loss = likelihood(replace(data, questions=questions), config)
    texts = [[*data.ids[row], *questions[row]] for row in rows]
    wanted = caption_loss(decoder, places, texts)
    assert loss(decoder, rows, places, seen, 0).item() == pytest.approx(wanted.item(), rel=1e-5)


@needs_scorer
@pytest.mark.slow
def test_learns_what_pictures_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pictures()
    describer = new_describer(data, dropout=0.0)
    config = DescribeConfig(steps=150, batch_size=8, lr=5e-3, warmup_steps=10, measure_every=50)
    untrained = validation_loss(describer.decoder, data)
    train_decoder(describer, data, data, tmp_path / "run.pt", config, likelihood(data, config))
    captions, likelihoods = describer.caption(data.views[0], chunk=3)
    wanted = [[c.lower().removesuffix(" .") for c in row] for row in data.references]
    assert all(caption in row for caption, row in zip(captions, wanted, strict=True))
    chosen = choose_generation(describer, data, config)
    assert chosen.threshold == pytest.approx(np.quantile(likelihoods, 0.1), abs=0.1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["stage"] for line in lines] == ["describe"] * 3 + ["generation"] * len(PENALTIES)
    assert lines[2]["val"]["loss"] < 0.2 * untrained


def test_too_few_pictures(tmp_path: Path) -> None:
    data, config = pictures(), DescribeConfig(batch_size=9)
    loss = likelihood(data, config)
    with pytest.raises(ValueError, match="a step takes 9 pictures, got 8: lower batch_size"):
        train_decoder(new_describer(data), data, data, tmp_path / "run.pt", config, loss)


@needs_data
def test_blind_training_sees_nothing_and_opens_no_picture(
    data: Path, tiny: FrameEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of_split = module.load_split
    monkeypatch.setattr(module, "load_split", lambda *place: rows_of_split(*place)[:8])
    train, val, _ = load_captioned(tiny, data, tmp_path, DescribeConfig(), blind=True)
    assert [view.shape for view in train.views + val.views] == [(8, 1, 320)] * 2
    assert not train.views[0].any()
    assert len(train.questions) == 8
    assert not list(tmp_path.iterdir())


@needs_data
@needs_scorer
@pytest.mark.slow
def test_from_pictures_to_a_folder(
    data: Path, tiny: FrameEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of_split = module.load_split

    def few(data: Path, split: str, sets: tuple[str, ...]) -> list[ImageRow]:
        return rows_of_split(data, split, sets)[:40]

    monkeypatch.setattr(module, "load_split", few)
    monkeypatch.setattr(module, "load_encoder", lambda name: tiny)
    options = [
        "--model",
        "tiny",
        "--steps",
        "2",
        "--reward-steps",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["--data", str(data), "--work", str(tmp_path / "work"), *options]) == 0
    describer = load_decoder(tmp_path / "out", tiny)
    assert describer.threshold < 0
    pixels = np.zeros((2, 40, 40, 3), np.uint8)
    captions, _ = describer.caption(tiny.encode_spatial(pixels).astype(np.float16))
    assert captions[0] == captions[1] != ""
    with pytest.raises(InvalidInputError, match="context must be"):
        describer.caption(np.zeros((1, 4, 5), np.float16))
