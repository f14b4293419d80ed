"""How common answers are: how often captions of ordinary pictures speak of them.

A small encoder likes `a dog playing chess` nearly as much as `a dog running`; that dogs run is
known from captions. The counts are a prior, which Bayes' rule adds to the encoder's logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from videomm.tasks.candidates import read_candidates
from videomm.tasks.phrases import content_words
from videomm.types import Array

COMMONNESS_FILE = Path(__file__).parent.parent / "assets" / "commonness.tsv"
# What is known of a wider kind counts as much as this many captions of the narrower one.
_SHRINKAGE = 50.0
_ALL, _PEOPLE, _ANIMALS = "all", "people", "animals"


@cache
def subject_words() -> dict[str, str]:
    """Words for people and for animals, to the kind of subject that they name."""
    answers = read_candidates().answers

    def words(*kinds: str) -> frozenset[str]:
        return frozenset().union(*(content_words(item) for kind in kinds for item in answers[kind]))

    people = words("person") - {"group", "old", "football", "two"}
    animals = words("animal", "bird", "insect")
    return {**dict.fromkeys(animals, _ANIMALS), **dict.fromkeys(people, _PEOPLE)}


def kinds_of(words: Iterable[str], narrow: Iterable[str]) -> list[str]:
    """Kinds of subject that words name, from the widest to the narrowest.

    Args:
        words: such as `dog` and `brown`.
        narrow: words that are a kind of their own.
    """
    known = subject_words()
    named = {word for word in words if word in known}
    if not named:
        return [_ALL]
    # A man with a dog is about the man.
    wide = _PEOPLE if any(known[word] == _PEOPLE for word in named) else _ANIMALS
    return [_ALL, wide, *(word for word in narrow if word in named and known[word] == wide)]


@dataclass(frozen=True)
class Commonness:
    """Counts of captions by kind of subject: all, people, animals, and words such as `dog`.

    Attributes:
        totals: captions, by kind.
        counts: those of them that speak of an entry, by entry and kind.
    """

    totals: dict[str, int]
    counts: dict[str, dict[str, int]]

    def log_prior(self, names: Sequence[str], subject: str) -> Array:
        """Log share of captions about such a subject that speak of each name: float64 (L,).

        Where few captions are about the subject, its share leans on that of the wider kind.

        Args:
            names: entries; one that was never counted gets the mean of the others.
            subject: such as `a man` or `the old dog`; empty for none.
        """
        known = [name for name in names if name in self.counts]
        if not known:
            return np.zeros(len(names))
        narrow = [kind for kind in self.totals if kind not in (_ALL, _PEOPLE, _ANIMALS)]
        share: Array | float = 1 / len(self.counts)
        for kind in kinds_of(content_words(subject), narrow):
            seen = np.array([self.counts[name][kind] for name in known])
            share = (seen + _SHRINKAGE * share) / (self.totals[kind] + _SHRINKAGE)
        logs = dict(zip(known, np.log(share).tolist(), strict=True))
        mean = sum(logs.values()) / len(logs)
        return np.array([logs.get(name, mean) for name in names])


@cache
def read_commonness(path: Path = COMMONNESS_FILE) -> Commonness:
    """The counts that come with videomm; `videomm.training.commonness` made them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    (_, *kinds), *rows = rows
    counts = {entry: dict(zip(kinds, map(int, numbers), strict=True)) for entry, *numbers in rows}
    totals = counts.pop("*")
    return Commonness(totals, counts)
