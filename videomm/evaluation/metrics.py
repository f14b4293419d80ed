"""Metrics in NumPy: scores in, shares from 0 to 1 out.

A tie is counted against the model: a wrong candidate with the right one's score ranks before it,
so a model that gives every candidate the same score gets nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating[Any]]


def check_scores(scores: Scores, right: npt.NDArray[np.bool_]) -> None:
    """Raise ValueError unless both are matrices of one shape and no score is NaN."""
    if scores.ndim != 2 or scores.shape != right.shape:
        raise ValueError(
            f"scores and right must be matrices of one shape, got {scores.shape} and {right.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError("scores must not be NaN")


def first_right_ranks(scores: Scores, right: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rank of each query's best right candidate among the candidates.

    Args:
        scores: Float (Q, C), higher is better.
        right: Bool (Q, C); at least one right candidate a query.

    Returns:
        Int64 (Q,), 1 is first: one more than the number of wrong candidates that score at least
        as high.

    Raises:
        ValueError: If shapes differ, a query has no right candidate, or a score is NaN.
    """
    check_scores(scores, right)
    if not right.any(axis=1).all():
        raise ValueError("every query needs at least one right candidate")
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((scores >= best) & ~right).sum(axis=1).astype(np.int64)


def recall_at_k(
    scores: Scores, right: npt.NDArray[np.bool_], ks: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Retrieval R@k: the share of queries with a right candidate among the k best.

    The usual protocol for several captions an image (e.g. Radford et al., 2021, table 13): one
    right caption among the k best is enough.

    Args:
        scores: Float (Q, C), higher is better.
        right: Bool (Q, C).
        ks: How many candidates count.

    Returns:
        k to share.

    Raises:
        ValueError: As `first_right_ranks`, or if a k is below 1.
    """
    if any(k < 1 for k in ks):
        raise ValueError(f"k must be at least 1, got {tuple(ks)}")
    ranks = first_right_ranks(scores, right)
    return {k: float((ranks <= k).mean()) for k in ks}


def one_vs_rest(truth: npt.NDArray[np.integer[Any]], num_classes: int) -> npt.NDArray[np.bool_]:
    """One right class an item as a matrix of right and wrong ones.

    Args:
        truth: Right classes (N,), from 0.
        num_classes: C.

    Returns:
        Bool (N, C), one True a row.

    Raises:
        ValueError: If truth is no vector or a class is out of range.
    """
    if truth.ndim != 1:
        raise ValueError(f"truth must be (N,), one class an item, got {truth.shape}")
    if len(truth) and not (truth.min() >= 0 and truth.max() < num_classes):
        raise ValueError(f"classes must be 0..{num_classes - 1}, got {truth.min()}..{truth.max()}")
    right = np.zeros((len(truth), num_classes), dtype=np.bool_)
    right[np.arange(len(truth)), truth] = True
    return right


def top_k_accuracy(scores: Scores, truth: npt.NDArray[np.integer[Any]], k: int = 1) -> float:
    """The share of rows whose right class is among the k best.

    Args:
        scores: Float (N, C), higher is better.
        truth: Right classes (N,), from 0.
        k: How many classes count.

    Raises:
        ValueError: As `recall_at_k`, or if a class is out of range.
    """
    if truth.shape != scores.shape[:1]:
        raise ValueError(f"truth must be ({len(scores)},), got {truth.shape}")
    return recall_at_k(scores, one_vs_rest(truth, scores.shape[1]), (k,))[k]
