"""Reliability bins and the expected calibration error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.evaluation.calibration import BINS, expected_calibration_error, reliability

answers = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.2, 0.4, 0.5, 1.0])), st.booleans()
    ),
    min_size=1,
    max_size=40,
)


@given(answers=answers, bins=st.integers(1, 20))
def test_bins_agree_with_a_naive_loop(answers, bins):
    confidences = np.array([confidence for confidence, _ in answers])
    right = np.array([good for _, good in answers])
    bars = reliability(confidences, right, bins)
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = [
            (confidence, good)
            for confidence, good in answers
            if low < confidence <= high or (place == 0 and confidence == 0)
        ]
        assert bars.counts[place] == len(inside)
        if not inside:
            assert np.isnan([bars.confidence[place], bars.accuracy[place]]).all()
            continue
        means = np.mean(inside, axis=0)
        assert [bars.confidence[place], bars.accuracy[place]] == pytest.approx(list(means))
        error += abs(means[0] - means[1]) * len(inside) / len(answers)
    assert bars.counts.sum() == len(answers)
    assert expected_calibration_error(confidences, right, bins) == pytest.approx(error)
    assert 0 <= error <= 1


@given(hits=st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_error_of_calibrated_answers_is_0(hits):
    """20 answers at each confidence k / 20, of which k are right."""
    confidences = np.repeat(np.array(hits) / 20, 20)
    right = np.concatenate([np.arange(20) < count for count in hits])
    assert expected_calibration_error(confidences, right) == pytest.approx(0)


def test_error_of_one_who_is_always_sure_is_the_share_of_wrong_answers() -> None:
    right = np.array([True, True, True, False])
    assert expected_calibration_error(np.ones(4), right) == pytest.approx(0.25)
    assert len(reliability(np.ones(4), right).counts) == BINS


def test_errors_name_what_is_wrong() -> None:
    yes = np.array([True])
    with pytest.raises(ValueError, match=r"one length.*\(2,\) and \(1,\)"):
        reliability(np.zeros(2), yes)
    with pytest.raises(ValueError, match=r"0 to 1, got 1\.5\.\.1\.5: turn scores into"):
        reliability(np.array([1.5]), yes)
    with pytest.raises(ValueError, match="0 to 1, got nan"):
        reliability(np.array([np.nan]), yes)
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        reliability(np.array([0.5]), yes, bins=0)
