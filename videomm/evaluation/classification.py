"""Classification: average precision, F1 and the confusion matrix, as scikit-learn defines them.

Scores are float (N, C), higher is better. Right answers are a bool matrix (N, C) for several labels
an item; for one class an item `metrics.one_vs_rest` makes that matrix of classes (N,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from videomm.evaluation.metrics import Scores, check_scores

Classes = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class ClassScores:
    """How well one class is told: precision, recall and F1 from 0 to 1, and its items."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def average_precisions(scores: Scores, right: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Average precision of each class: the sum of (R_n - R_(n-1)) * P_n over its thresholds.

    Without interpolation (`sklearn.metrics.average_precision_score`). Items with the same score
    share a threshold, so that equal scores for all give the share of right items.

    Args:
        scores: Float (N, C), higher is better.
        right: Bool (N, C).

    Returns:
        Float64 (C,), NaN for a class that no item has: it has no recall.

    Raises:
        ValueError: If shapes differ or a score is NaN.
    """
    check_scores(scores, right)
    return np.array(
        [
            sklearn_metrics.average_precision_score(truth, values) if truth.any() else np.nan
            for truth, values in zip(right.T, scores.T, strict=True)
        ],
        dtype=np.float64,
    )


def mean_average_precision(scores: Scores, right: npt.NDArray[np.bool_]) -> float:
    """Mean of `average_precisions` over the classes that some item has.

    The macro mean of multi-label benchmarks such as AudioSet (Gemmeke et al., 2017); with
    `metrics.one_vs_rest` the one-vs-rest mean of single classes.

    Raises:
        ValueError: As `average_precisions`, or if no item has any class.
    """
    each = average_precisions(scores, right)
    if np.isnan(each).all():
        raise ValueError("average precision needs at least one item with a right class, got none")
    return float(np.nanmean(each))


def _check_classes(predicted: Classes, truth: Classes) -> None:
    if predicted.ndim != 1 or predicted.shape != truth.shape or not len(truth):
        raise ValueError(
            "predicted and truth must be vectors of one length of at least 1, got "
            f"{predicted.shape} and {truth.shape}"
        )


def confusion_matrix(predicted: Classes, truth: Classes, num_classes: int) -> npt.NDArray[np.int64]:
    """How many items of each class were taken for which: int64 (C, C), a row a right class.

    Args:
        predicted: Classes (N,), from 0.
        truth: Right classes (N,), from 0.
        num_classes: C.

    Raises:
        ValueError: If lengths differ or are 0, or if a class is out of range.
    """
    _check_classes(predicted, truth)
    least = int(min(predicted.min(), truth.min()))
    most = int(max(predicted.max(), truth.max()))
    # scikit-learn leaves out what is out of range without a word.
    if least < 0 or most >= num_classes:
        raise ValueError(f"classes must be 0..{num_classes - 1}, got {least}..{most}")
    counts = sklearn_metrics.confusion_matrix(truth, predicted, labels=np.arange(num_classes))
    return np.asarray(counts, np.int64)


def per_class(predicted: Classes, truth: Classes, labels: Sequence[str]) -> tuple[ClassScores, ...]:
    """A row a class: precision, recall, F1 and support (how many items have it).

    A precision of nothing predicted, a recall of no items and their F1 count as 0.

    Args:
        predicted: Classes (N,), places in `labels`.
        truth: Right classes (N,).
        labels: The C names.

    Raises:
        ValueError: As `confusion_matrix`.
    """
    confusion_matrix(predicted, truth, len(labels))  # checks the classes
    columns = sklearn_metrics.precision_recall_fscore_support(
        truth, predicted, labels=np.arange(len(labels)), zero_division=0
    )
    return tuple(
        ClassScores(label, float(precision), float(recall), float(f1), int(support))
        for label, precision, recall, f1, support in zip(labels, *columns, strict=True)
    )


def macro_f1(predicted: Classes, truth: Classes) -> float:
    """Mean F1 over the classes that occur in `truth` or in `predicted`, each weighing the same.

    The mean of the classes' F1, not the F1 of their mean precision and recall (Opitz and Burst,
    2019, "Macro F1 and Macro F1", call it averaged F1).

    Args:
        predicted: Classes (N,).
        truth: Right classes (N,).

    Raises:
        ValueError: If lengths differ or are 0.
    """
    _check_classes(predicted, truth)
    return float(sklearn_metrics.f1_score(truth, predicted, average="macro", zero_division=0))
