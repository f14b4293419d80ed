"""What the text decoder says of frames when it is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from videomm.models.describer import Describer
from videomm.tasks.presence import Presence, View
from videomm.tasks.questions import NOT_FOUND
from videomm.types import Array

# An answer that the decoder does not know is not less likely than this.
_LEAST_LIKELY = -8.0
# What it says where it has no answer, and what is never the name of something.
_NO_NAMES = frozenset((NOT_FOUND, "yes", "no"))


@dataclass(frozen=True, eq=False)
class Asked:
    """A decoder with frames before it and a question in its ear.

    Attributes:
        describer: that is asked.
        places: float32 (F, P, C), what it reads of F frames.
        words: the question, as it was taught (`learned_words`).
    """

    describer: Describer
    places: Array = field(repr=False)
    words: str

    def own_answers(self) -> list[str]:
        """Its likeliest answer in each frame, where it has one."""
        said = self.describer.answer(self.places, [self.words] * len(self.places))
        return [name for name in said if name not in _NO_NAMES]

    def log_likelihood(self, names: Sequence[str]) -> Array:
        """The log of the mean likelihood of answers in the frames: float64 (L,), never below -8."""
        logs = self.describer.log_likelihood(self.places, self.words, names)
        means = np.logaddexp.reduce(logs, axis=0) - np.log(len(self.places))
        return np.asarray(np.maximum(means, _LEAST_LIKELY))


def ask(view: View, words: str | None, frames: Array) -> Asked | None:
    """Put a question about some frames of a view, bool (N,), to its decoder.

    Returns:
        None where there is no decoder, no picture for it, or no words that it was taught.
    """
    describer = view.scorer.describer
    places = view.places(frames) if words else None
    if describer is None or words is None or places is None:
        return None
    return Asked(describer, places, words)


def weighed(found: Presence, log_odds: float, weight: float) -> Presence:
    """A presence with the decoder's odds, as a power, beside those of the encoder."""
    chance = min(max(found.probability, 1e-6), 1 - 1e-6)
    total = math.log(chance) - math.log1p(-chance) + weight * log_odds
    return replace(found, probability=1 / (1 + math.exp(-total)))
