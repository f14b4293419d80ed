"""The prior of answers: people and animals do different things; what nobody counted is neutral."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videomm.tasks.candidates import read_candidates
from videomm.tasks.commonness import Commonness, kinds_of, read_commonness
from videomm.tasks.concepts import read_bank
from videomm.tasks.phrases import content_words

KINDS = ("all", "people", "animals", "dog")
SMALL = Commonness(
    dict(zip(KINDS, (1000, 800, 200, 100), strict=True)),
    {
        "running": dict(zip(KINDS, (180, 80, 100, 60), strict=True)),
        "surfing": dict(zip(KINDS, (40, 40, 0, 0), strict=True)),
    },
)


@pytest.mark.parametrize(
    ("subject", "kinds"),
    [
        ("", ["all"]),
        ("a car", ["all"]),
        ("an old man", ["all", "people"]),
        ("two women", ["all", "people"]),
        ("a cat", ["all", "animals"]),
        ("the brown dogs", ["all", "animals", "dog"]),
        ("a man with a dog", ["all", "people"]),
    ],
)
def test_a_share_leans_on_that_of_the_wider_kind(subject: str, kinds: list[str]) -> None:
    assert kinds_of(content_words(subject), ["dog"]) == kinds
    for name in ("running", "surfing"):
        share = 1 / 2
        for kind in kinds:
            share = (SMALL.counts[name][kind] + 50 * share) / (SMALL.totals[kind] + 50)
        assert SMALL.log_prior([name], subject) == pytest.approx(np.log(share))


def test_what_was_never_counted_is_neither_likely_nor_unlikely() -> None:
    known = SMALL.log_prior(["running", "surfing"], "a man")
    found = SMALL.log_prior(["running", "knitting", "surfing"], "a man")
    assert found[[0, 2]] == pytest.approx(known)
    assert found[1] == pytest.approx(known.mean())
    assert SMALL.log_prior(["knitting"], "a man").tolist() == [0.0]


def test_the_counts_of_videomm_tell_dogs_from_people() -> None:
    prior = read_commonness().log_prior
    for name, likelier, other in [
        ("flying", "a bird", "a dog"),
        ("swimming", "a bird", "a man"),
        ("surfing", "a man", "a dog"),
        ("running", "a dog", "a woman"),
    ]:
        assert prior([name], likelier)[0] > prior([name], other)[0]


def test_all_entries_of_videomm_are_counted_once() -> None:
    counts = read_commonness().counts
    candidates = {item for items in read_candidates().answers.values() for item in items}
    assert set(counts) == candidates | set(read_bank().entries)
    totals = read_commonness().totals
    for entry, row in counts.items():
        assert 0 <= row["people"] + row["animals"] <= row["all"] <= totals["all"], entry
        assert max(row[word] for word in ("dog", "horse", "bird")) <= row["animals"], entry


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    path.write_text("# why\nentry\tall\tpeople\n*\t6\t3\na man\t2\t2\n", encoding="utf-8")
    assert read_commonness(path) == Commonness(
        {"all": 6, "people": 3}, {"a man": {"all": 2, "people": 2}}
    )
