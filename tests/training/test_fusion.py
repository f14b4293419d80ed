"""What neither pictures nor words can tell, their fusion learns."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.test_finetune import (
    DIM,
    ENCODER,
    LABELS,
    accuracy,
    bits,
    clip,
    clips,
    run,
    unit,
)
from videomm.config import ClassifyConfig, TrainConfig
from videomm.errors import InvalidInputError
from videomm.hub import load_model, write_model
from videomm.models.video_model import VideoModel
from videomm.tasks.classify import classify_timeline
from videomm.training import early_stopping, finetune
from videomm.training.finetune import gather, score
from videomm.training.progress import load_saved
from videomm.types import Speech, Subtitle

WORDS = unit(np.random.default_rng(6).normal(size=(3, DIM)))
ORDERS = list(itertools.permutations(range(3)))
SCRIPTS = [
    (shown, said)
    for shown, said in itertools.product(ORDERS, ORDERS)
    if sum(a == b for a, b in zip(shown, said, strict=True)) == 1
]


def agreed(shown, said):
    """The one thing that is named while it is shown."""
    (place,) = [a for a, b in zip(shown, said, strict=True) if a == b]
    return place


def talking(one, words, lengths):
    """A clip of stretches in each of which a word is said."""
    ends = np.cumsum(lengths) / 2
    spans = zip(ends - lengths / 2 + 0.1, ends - 0.1, strict=True)
    pairs = zip(spans, words, strict=True)
    texts = tuple(Subtitle(start, end, str(word)) for (start, end), word in pairs)
    speech = Speech(texts, WORDS[list(words)], "x.srt")
    return replace(one, timeline=replace(one.timeline, speech=speech))


def agreeing(count, seed, grey=False):
    """Clips that show three things and name three; the class is named while it is shown."""
    rng = np.random.default_rng(seed)
    out = []
    for number in range(count):
        shown, said = SCRIPTS[number % len(SCRIPTS)]
        place = agreed(shown, said)
        lengths = rng.integers(2, 5, 3)
        pictures = np.eye(DIM)[[10] * 3 if grey else list(shown)]
        frames = np.repeat(pictures, lengths, axis=0)
        frames = frames + rng.normal(size=frames.shape) / 20
        out.append(talking(clip((LABELS[place],), frames, number), said, lengths))
    return out


def test_neither_pictures_nor_words_tell_the_class():
    for part in (0, 1):
        pairs = [(script[part], agreed(*script)) for script in SCRIPTS]
        assert len(pairs) == len(set(pairs)) == 18  # each order with each class, once


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fusion", "grey", "least", "most"),
    [
        ("none", False, 0.0, 0.5),
        ("late", True, 0.0, 0.5),
        ("early", False, 0.9, 1.0),
        ("late", False, 0.9, 1.0),
        ("hybrid", False, 0.9, 1.0),
    ],
)
def test_only_fusion_learns_what_both_must_tell(fusion, grey, least, most, tmp_path):
    config = TrainConfig(fusion=fusion, epochs=30, lr=10.0)
    train, val = agreeing(180, 0, grey), agreeing(36, 1, grey)
    model, _ = run(config, tmp_path / "c.pt", train, val)
    assert least <= accuracy(model, agreeing(90, 2, grey)) <= most


def silent(some):
    return [replace(one, timeline=replace(one.timeline, speech=None)) for one in some]


@pytest.mark.parametrize("tune", ["head", "temporal"])
def test_without_fusion_speech_changes_no_bit(tune, tmp_path):
    train, val = agreeing(18, 0), agreeing(18, 1)
    config = TrainConfig(tune=tune, epochs=3)
    heard, history = run(config, tmp_path / "a.pt", train, val)
    deaf, other = run(config, tmp_path / "b.pt", silent(train), silent(val))
    assert bits(heard) == bits(deaf)
    assert history == other


@pytest.mark.parametrize("fusion", ["early", "late", "hybrid"])
def test_stopped_and_resumed_ends_with_the_same_bits(fusion, tmp_path, monkeypatch):
    train, val = [*agreeing(18, 0), *silent(agreeing(6, 3))], agreeing(18, 1)
    config = TrainConfig(fusion=fusion, epochs=4, lr=5.0)
    whole, history = run(config, tmp_path / "a.pt", train, val)
    real, left = early_stopping.save_atomic, 2

    def stopping(state, path):
        nonlocal left
        real(state, path)
        left -= 1
        if not left:
            raise KeyboardInterrupt

    monkeypatch.setattr(early_stopping, "save_atomic", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "b.pt", train, val)
    monkeypatch.setattr(early_stopping, "save_atomic", real)
    resumed, again = run(config, tmp_path / "b.pt", train, val)
    assert bits(whole) == bits(resumed)
    assert history == again
    start = finetune.start_model(VideoModel(ENCODER), LABELS, False, config).state_dict()
    last = load_saved(tmp_path / "a.pt")["training"]["model"]
    moved = {key: not torch.equal(start[key], last[key]) for key in last if "speech" in key}
    assert moved
    assert all(moved.values()), moved


@pytest.mark.parametrize("fusion", ["early", "late", "hybrid"])
def test_what_is_measured_is_what_classify_says(fusion, tmp_path):
    train, val = agreeing(18, 0), agreeing(18, 1)
    config = TrainConfig(fusion=fusion, epochs=2, lr=5.0)
    model, _ = run(config, tmp_path / "a.pt", train, val)
    some = [*agreeing(5, 2), *clips(2, 3)]
    rows = score(model, gather(some, LABELS), LABELS, False)
    for row, one in zip(rows, some, strict=True):
        said = classify_timeline(one.timeline, None, model, ClassifyConfig())
        found = {item.label: item.score for item in said.labels}
        assert row == pytest.approx([found[name] for name in LABELS], abs=1e-5)


def test_the_folder_keeps_the_fusion(tiny, tmp_path):
    for fusion in ("none", "hybrid"):
        model = VideoModel(tiny, labels=LABELS, fusion=fusion)
        folder = tmp_path / fusion
        folder.mkdir()
        write_model(model, folder)
        again = load_model(str(folder))
        assert again.fusion == fusion
        assert bits(again) == bits(model)
    assert "fusion" not in (tmp_path / "none" / "config.json").read_text()


def test_early_fusion_needs_the_temporal_transformer():
    for fusion in ("early", "hybrid"):
        with pytest.raises(InvalidInputError, match="learned by the temporal Transformer"):
            TrainConfig(tune="head", fusion=fusion)
    assert TrainConfig(tune="head", fusion="late").fusion == "late"
    with pytest.raises(InvalidInputError, match="fusion must be one of none, early, late, hybrid"):
        TrainConfig(fusion="middle")
