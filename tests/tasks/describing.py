"""A describer that says of a frame what its grey level stands for."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from videomm.tasks.presence import PhraseScorer


def grey_thumbnails(*levels):
    """JPEG pictures of grey noise around levels, 2 * 3 a scene as `film` has frames."""
    rng = np.random.default_rng(0)
    out = []
    for level in levels:
        for _ in range(6):
            noise = rng.integers(-20, 21, (32, 32, 1)).repeat(3, axis=2)
            data = io.BytesIO()
            Image.fromarray((level + noise).astype(np.uint8)).save(data, "JPEG", quality=95)
            out.append(data.getvalue())
    return tuple(out)


class GreyDescriber:
    """Captions and answers by grey level.

    Args:
        captions: level to caption and its log-likelihood.
        answers: answers to every question, with their log-likelihood.
    """

    threshold = -2.0

    def __init__(self, captions=(), answers=()):
        self.captions = dict(captions)
        self.answers = dict(answers)
        self.asked = []

    def caption(self, places):
        said = [self.captions[self._nearest(one)] for one in places]
        return [text for text, _ in said], np.array([value for _, value in said])

    def answer(self, places, questions):
        self.asked += questions
        return [max(self.answers, key=self.answers.__getitem__)] * len(places)

    def log_likelihood(self, places, question, answers):
        row = [self.answers.get(answer, -np.inf) for answer in answers]
        return np.tile(row, (len(places), 1))

    def _nearest(self, places):
        return min(self.captions, key=lambda level: abs(level - float(places.mean())))


def with_describer(scorer, describer):
    """The scorer with a describer, and with an encoder that sees grey levels at one place."""
    scorer.model.encoder.encode_spatial = lambda pixels: pixels.mean(axis=(1, 2))[:, None]
    return PhraseScorer(scorer.model, scorer.bank, describer)
