"""Metrics of temporal segmentation against naive versions, and cases worked out by hand."""

from __future__ import annotations

from functools import cache
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.evaluation.segmentation import (
    edit_score,
    find_runs,
    frame_accuracy,
    overlap_f1,
    score_segmentation,
)


def frames(text: str) -> np.ndarray:
    """One label a digit."""
    return np.array([int(digit) for digit in text])


def naive_runs(labels: list[int], background: int | None) -> list[tuple[int, set[int]]]:
    """Label and frame numbers of each run."""
    found, at = [], 0
    for label, group in groupby(labels):
        size = len(list(group))
        if label != background:
            found.append((label, set(range(at, at + size))))
        at += size
    return found


def naive_edit(predicted: list[int], truth: list[int], background: int | None) -> float:
    a = [label for label, _ in naive_runs(predicted, background)]
    b = [label for label, _ in naive_runs(truth, background)]

    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        replaced = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, replaced)

    if not a and not b:
        return 100.0
    return 100 * (1 - distance(len(a), len(b)) / max(len(a), len(b)))


def naive_f1(predicted: list[int], truth: list[int], overlap: float, background: int | None):
    mine, right = naive_runs(predicted, background), naive_runs(truth, background)
    if not mine and not right:
        return 100.0
    used, hits = set(), 0
    for label, own in mine:
        shares = [
            len(own & other) / len(own | other) if label == name else 0.0 for name, other in right
        ]
        best = max(range(len(shares)), key=lambda i: shares[i], default=None)
        if best is not None and shares[best] >= overlap and best not in used:
            used.add(best)
            hits += 1
    if not hits:
        return 0.0
    precision, recall = hits / len(mine), hits / len(right)
    return 100 * 2 * precision * recall / (precision + recall)


pairs = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=12
).map(
    lambda steps: (
        [predicted for predicted, _, size in steps for _ in range(size)],
        [truth for _, truth, size in steps for _ in range(size)],
    )
)


@given(pairs, st.sampled_from([0.1, 0.25, 0.5, 1.0]), st.sampled_from([None, 0]))
def test_agrees_with_a_naive_version(pair, overlap, background):
    predicted, truth = (np.array(labels) for labels in pair)
    assert edit_score(predicted, truth, background) == pytest.approx(naive_edit(*pair, background))
    assert overlap_f1(predicted, truth, overlap, background) == pytest.approx(
        naive_f1(*pair, overlap, background)
    )


@given(pairs, st.sampled_from([None, 0]))
def test_runs_tile_the_video_and_the_truth_scores_100(pair, background):
    labels = np.array(pair[1])
    runs = find_runs(labels)
    assert np.concatenate([np.full(end - start, label) for label, start, end in runs]).tolist() == (
        labels.tolist()
    )
    assert (np.diff(runs[:, 0]) != 0).all()
    assert set(score_segmentation([labels], [labels], background).values()) == {100.0}


def test_runs_by_hand():
    assert find_runs(frames("0011102")).tolist() == [[0, 0, 2], [1, 2, 5], [0, 5, 6], [2, 6, 7]]
    assert find_runs(frames("0011102"), background=0).tolist() == [[1, 2, 5], [2, 6, 7]]


def test_a_boundary_that_is_off_costs_accuracy_and_strict_f1_alone():
    truth, predicted = frames("1111122222"), frames("1122222222")
    assert frame_accuracy(predicted, truth) == 70
    assert edit_score(predicted, truth) == 100
    # Intersection over union is 2/5 for the first run and 5/8 for the second.
    assert overlap_f1(predicted, truth, 0.4) == 100
    assert overlap_f1(predicted, truth, 0.5) == 50


def test_over_segmentation_costs_edit_and_f1():
    truth, predicted = frames("1111111111"), frames("1111121111")
    assert frame_accuracy(predicted, truth) == 90
    assert edit_score(predicted, truth) == pytest.approx(100 * (1 - 2 / 3))
    # Of the two runs of 1 the first hits (0.5), the other finds it taken; the 2 hits nothing.
    assert overlap_f1(predicted, truth, 0.5) == pytest.approx(100 * 2 * 1 / (3 + 1))


def test_background_takes_no_part_in_edit_and_f1():
    truth, predicted = frames("0011001100"), frames("1111111100")
    # 1 0 1 becomes 1 1: one of two true runs is found.
    assert edit_score(predicted, truth, background=0) == 50
    assert overlap_f1(predicted, truth, 0.25, background=0) == pytest.approx(100 * 2 / 3)
    nothing = frames("0000000000")
    assert edit_score(nothing, truth, background=0) == 0
    assert overlap_f1(nothing, truth, 0.1, background=0) == 0
    assert edit_score(nothing, nothing, background=0) == 100
    assert overlap_f1(nothing, nothing, 0.1, background=0) == 100


def test_a_data_set_is_the_mean_over_videos_whatever_their_length():
    figures = score_segmentation([frames("11"), frames("2222")], [frames("12"), frames("2222")])
    assert figures == pytest.approx(
        {"accuracy": 75, "edit": 75, "f1@10": 250 / 3, "f1@25": 250 / 3, "f1@50": 250 / 3}
    )


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"same frames, got \(2,\) and \(3,\)"):
        frame_accuracy(frames("11"), frames("111"))
    with pytest.raises(ValueError, match=r"at least one frame, got shape \(0,\)"):
        find_runs(np.array([], dtype=int))
    with pytest.raises(ValueError, match=r"vector of integers.* float64"):
        edit_score(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="above 0 and at most 1, got 25"):
        overlap_f1(frames("1"), frames("1"), 25)
    with pytest.raises(ValueError, match="same videos, at least one, got 0 and 0"):
        score_segmentation([], [])
    with pytest.raises(ValueError, match="got 1 and 2"):
        score_segmentation([frames("1")], [frames("1")] * 2)
