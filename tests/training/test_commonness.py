"""Counting of captions, on captions that can be counted by hand."""

from __future__ import annotations

from videomm.training.commonness import count_entries

CAPTIONS = [
    "A man rides a horse .",
    "Two men riding horses on a beach",
    "A brown dog is running .",
    "A dog runs with a man",
    "A dog and a bird flying",
    "A red car",
]
KINDS = ("all", "people", "animals", "dog", "horse", "bird")


def test_entries_are_counted_in_any_form_of_their_words() -> None:
    found = count_entries(CAPTIONS, ["riding a horse", "running", "a dog", "on a beach", "a boat"])

    def row(*numbers: int) -> dict[str, int]:
        return dict(zip(KINDS, numbers, strict=True))

    assert found.totals == row(6, 3, 2, 2, 0, 1)
    assert found.counts == {
        "riding a horse": row(2, 2, 0, 0, 0, 0),
        "running": row(2, 1, 1, 1, 0, 0),
        "a dog": row(3, 1, 2, 2, 0, 1),
        "on a beach": row(1, 1, 0, 0, 0, 0),
        "a boat": row(0, 0, 0, 0, 0, 0),
    }
