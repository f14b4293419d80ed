"""Average precision, F1 and the confusion matrix against naive loops."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.evaluation.classification import (
    average_precisions,
    confusion_matrix,
    macro_f1,
    mean_average_precision,
    per_class,
)
from videomm.evaluation.metrics import one_vs_rest

CLASSES = 4
pairs = st.lists(st.tuples(*[st.integers(0, CLASSES - 1)] * 2), min_size=1, max_size=30)


def naive_average_precision(scores: list[float], right: list[bool]) -> float:
    """The sum of precision times the recall gained, over falling thresholds."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [good for score, good in zip(scores, right, strict=True) if score >= threshold]
        gained = sum(taken) / sum(right)
        total += (gained - recall) * sum(taken) / len(taken)
        recall = gained
    return total


@given(rows=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20))
def test_average_precision_agrees_with_a_naive_loop(rows):
    values, right = [score / 5 for score, _ in rows], [good for _, good in rows]
    (got,) = average_precisions(np.array(values)[:, None], np.array(right)[:, None])
    if any(right):
        assert got == pytest.approx(naive_average_precision(values, right))
    else:
        assert np.isnan(got)


def test_mean_average_precision_leaves_out_classes_without_items() -> None:
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.7, 0.5], [0.1, 0.6, 0.5]])
    right = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], bool)
    # Class 0: right at ranks 1 and 3; class 1: right at rank 1.
    assert mean_average_precision(scores, right) == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)


def test_one_vs_rest_mean_average_precision() -> None:
    truth = np.array([0, 1, 2, 1])
    assert mean_average_precision(np.eye(3)[truth], one_vs_rest(truth, 3)) == 1
    flat = mean_average_precision(np.zeros((4, 3)), one_vs_rest(truth, 3))
    assert flat == pytest.approx((1 / 4 + 2 / 4 + 1 / 4) / 3)


@given(pairs=pairs)
def test_f1_and_table_follow_from_the_confusion_matrix(pairs):
    predicted, truth = np.array(pairs).T
    matrix = confusion_matrix(predicted, truth, CLASSES)
    naive = np.zeros((CLASSES, CLASSES), int)
    for guess, right in pairs:
        naive[right, guess] += 1
    assert (matrix == naive).all()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = per_class(predicted, truth, list("abcd"))
        macro = macro_f1(predicted, truth)
    assert [row.label for row in rows] == list("abcd")
    for place, row in enumerate(rows):
        hits = naive[place, place]
        guessed, held = naive[:, place].sum(), naive[place].sum()
        assert row.support == held
        assert row.precision == pytest.approx(hits / max(guessed, 1))
        assert row.recall == pytest.approx(hits / max(held, 1))
        assert row.f1 == pytest.approx(2 * hits / max(guessed + held, 1))
    seen = [row.f1 for place, row in enumerate(rows) if place in {*predicted, *truth}]
    assert macro == pytest.approx(np.mean(seen))


def test_errors_name_what_is_wrong() -> None:
    two = np.array([0, 1])
    with pytest.raises(ValueError, match=r"one shape.*\(2, 3\).*\(3, 2\)"):
        average_precisions(np.zeros((2, 3)), np.ones((3, 2), bool))
    with pytest.raises(ValueError, match="NaN"):
        average_precisions(np.full((1, 2), np.nan), np.ones((1, 2), bool))
    with pytest.raises(ValueError, match="at least one item"):
        mean_average_precision(np.zeros((2, 2)), np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match=r"0\.\.1, got 0\.\.2"):
        confusion_matrix(np.array([0, 2]), two, 2)
    with pytest.raises(ValueError, match=r"0\.\.1, got -1\.\.1"):
        per_class(two, np.array([-1, 1]), ["a", "b"])
    with pytest.raises(ValueError, match=r"one length.*\(2,\) and \(1,\)"):
        macro_f1(two, two[:1])
    with pytest.raises(ValueError, match="at least 1"):
        macro_f1(two[:0], two[:0])
    with pytest.raises(ValueError, match=r"\(N,\), one class an item"):
        one_vs_rest(np.zeros((2, 2), int), 2)
