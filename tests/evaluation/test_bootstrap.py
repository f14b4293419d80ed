"""The percentile bootstrap: paired, seeded, and as wide as theory says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videomm.evaluation.bootstrap import Interval, bootstrap_interval
from videomm.evaluation.classification import mean_average_precision


@settings(max_examples=20)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=20), st.integers(0, 100))
def test_the_interval_lies_within_the_values_and_comes_again(values, seed):
    array = np.array(values)
    interval = bootstrap_interval(np.mean, array, resamples=50, seed=seed)
    assert interval == bootstrap_interval(np.mean, array, resamples=50, seed=seed)
    assert interval.value == array.mean()
    assert array.min() - 1e-9 <= interval.low <= interval.high <= array.max() + 1e-9


def test_a_mean_varies_by_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    error = values.std() / np.sqrt(len(values))
    interval = bootstrap_interval(np.mean, values)
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    narrow = bootstrap_interval(np.mean, values, level=0.5)
    assert interval.low < narrow.low < narrow.high < interval.high


def test_items_stay_whole_and_arrays_paired() -> None:
    rows = np.arange(12).reshape(6, 2)

    def check(first, second):
        assert first.shape == second.shape == (6, 2)
        assert (second == 10 * first).all()
        assert (first[:, 1] == first[:, 0] + 1).all()
        return 1.0

    assert bootstrap_interval(check, rows, 10 * rows, resamples=20) == Interval(1, 1, 1)


def test_a_class_that_a_resample_lacks_is_no_hindrance() -> None:
    right = np.eye(5, dtype=bool)
    interval = bootstrap_interval(mean_average_precision, np.eye(5), right, resamples=20)
    assert interval == Interval(1, 1, 1)
    assert str(interval) == "1.000 [1.000, 1.000]"


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"one length of at least 2 items, got \[2, 3\]"):
        bootstrap_interval(np.mean, np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match=r"at least 2 items, got \[1\]"):
        bootstrap_interval(np.mean, np.zeros(1))
    with pytest.raises(ValueError, match=r"at least 2 items, got \[\]"):
        bootstrap_interval(np.mean)
    with pytest.raises(ValueError, match="NaN for a draw"):
        bootstrap_interval(lambda _: np.nan, np.zeros(2), resamples=5)
    with pytest.raises(ValueError, match=r"between 0 and 1 and .*, got 95 and 1000"):
        bootstrap_interval(np.mean, np.zeros(2), level=95)
    with pytest.raises(ValueError, match=r"resamples at least 1, got 0\.95 and 0"):
        bootstrap_interval(np.mean, np.zeros(2), resamples=0)
