"""An encoder in which every word is an axis, so that similarities can be worked out by hand."""

from __future__ import annotations

import numpy as np

from tests.fakes import FakeEncoder
from videomm.models.video_model import VideoModel
from videomm.tasks.concepts import Bank, EmbeddedBank
from videomm.tasks.phrases import content_words
from videomm.tasks.presence import PhraseScorer
from videomm.types import Timeline

DIM = 512
OBJECTS = (
    *("a cat", "a dog", "a boat", "a sofa", "a ball", "a lamp", "a pear", "a stone", "a river"),
    # Most of a bank has nothing to do with a video.
    *(f"a gadget{number}" for number in range(100)),
    *("a ladder", "a spoon", "a clock", "a carpet", "a candle", "a mirror", "a bucket", "a flag"),
)
SCENES = ("on a sofa", "on a lawn", "at a harbour", "in a kitchen", "in a tunnel", "on a roof")
ACTIONS = ("sleeping", "running", "jumping", "cooking", "reading", "waving", "digging", "sailing")


class WordEncoder(FakeEncoder):
    """Texts to the normalised sum of their content words' axes; templates do not matter."""

    def __init__(self, **options):
        super().__init__({"": np.eye(DIM)[0]}, **options)
        self._axes = {}

    def encode_text(self, texts, templates=("{}",)):
        rows = np.zeros((len(texts), DIM), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in content_words(text):
                row[self._axes.setdefault(word, len(self._axes) + 3)] = 1
            if not row.any():
                row[DIM - 1] = 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_scorer(**options):
    """A scorer over a small bank, without a calibration."""
    encoder = WordEncoder(**options)
    entries = (*OBJECTS, *SCENES, *ACTIONS)
    sections = ("objects",) * len(OBJECTS) + ("scenes",) * len(SCENES) + ("actions",) * len(ACTIONS)
    bank = EmbeddedBank(Bank(entries, sections), encoder.encode_text(entries), None)
    return PhraseScorer(VideoModel(encoder), bank)


def film(scorer, *scenes, seconds=3.0, **values):
    """A timeline of scenes in words, each that long, at two frames a second."""
    frames = round(seconds * 2)
    rows = np.repeat(scorer.model.encoder.encode_text(scenes), frames, axis=0)
    return Timeline(
        embeddings=rows,
        times=np.arange(len(rows)) / 2,
        duration=len(rows) / 2,
        encoder=scorer.model.encoder.id,
        **{
            "path": "film.mp4",
            "decoder": "pyav",
            "decoder_reason": "",
            "plan": {"mode": "fps"},
            **values,
        },
    )
