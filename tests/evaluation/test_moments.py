"""Temporal IoU and what is counted with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.evaluation.moments import found_ious, mean_iou, recall_at_iou, temporal_iou

segments = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple)
NOTHING = (np.nan, np.nan)


@given(first=segments, second=segments)
def test_iou_agrees_with_counting_seconds(first, second):
    a, b = set(range(*first)), set(range(*second))
    counted = len(a & b) / len(a | b) if a | b else 0.0
    assert temporal_iou(first, second) == pytest.approx(counted)
    assert temporal_iou(second, first) == temporal_iou(first, second)
    assert temporal_iou(first, first) == (1 if a else 0)


@given(first=segments, second=segments, shift=st.floats(0, 100), scale=st.floats(0.1, 10))
def test_iou_does_not_depend_on_the_clock(first, second, shift, scale):
    moved = [np.array(segment) * scale + shift for segment in (first, second)]
    assert temporal_iou(*moved) == pytest.approx(temporal_iou(first, second), abs=1e-9)


def test_iou_of_many_against_one() -> None:
    many = [[[0, 4], [2, 6]], [[4, 8], [1, 3]]]
    assert temporal_iou(many, [0, 4]) == pytest.approx(np.array([[1, 1 / 3], [0, 1 / 2]]))


def test_recall_and_mean_count_what_was_not_found() -> None:
    predicted = np.array([(0, 4), (2, 6), NOTHING, (0, 2)])
    truth = np.array([(0, 4), (0, 4), (0, 4), (0, 4)], float)
    assert found_ious(predicted, truth) == pytest.approx([1, 1 / 3, 0, 1 / 2])
    # An IoU of exactly the threshold counts.
    assert recall_at_iou(predicted, truth) == {0.3: 0.75, 0.5: 0.5, 0.7: 0.25}
    assert mean_iou(predicted, truth) == pytest.approx((1 + 1 / 3 + 1 / 2) / 4)


def test_errors_name_what_is_wrong() -> None:
    one = np.array([(0.0, 4.0)])
    with pytest.raises(ValueError, match=r"start <= end, got \(2,\) \[4\.0, 0\.0\]"):
        temporal_iou((4, 0), (0, 4))
    with pytest.raises(ValueError, match=r"\(\.\.\., 2\) with start <= end, got \(3,\)"):
        temporal_iou((0, 4), (0, 1, 2))
    with pytest.raises(ValueError, match="start <= end"):
        found_ious(np.array([(0, np.nan)]), one)
    with pytest.raises(ValueError, match="start <= end"):
        found_ious(one, np.array([NOTHING]))
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(2, 2\)"):
        mean_iou(one, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="at least 1"):
        mean_iou(one[:0], one[:0])
    with pytest.raises(ValueError, match=r"above 0 and at most 1, got \(0, 0\.5\)"):
        recall_at_iou(one, one, (0, 0.5))
