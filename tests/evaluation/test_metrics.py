"""Metrics against naive loops."""

from __future__ import annotations

import numpy as np
import pytest

from videomm.evaluation.metrics import first_right_ranks, recall_at_k, top_k_accuracy


def naive_recall(scores: np.ndarray, right: np.ndarray, k: int) -> float:
    hits = 0
    for row, good in zip(scores.tolist(), right.tolist(), strict=True):
        # Sorted by falling score; of equal scores the wrong candidate comes first.
        order = sorted(range(len(row)), key=lambda i: (-row[i], good[i]))
        hits += any(good[i] for i in order[:k])
    return hits / len(scores)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 1000])
def test_recall_agrees_with_a_naive_loop(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (20, 12)) / levels
    right = rng.random((20, 12)) < 0.2
    right[np.arange(20), rng.integers(0, 12, 20)] = True
    for k, share in recall_at_k(scores, right, (1, 3, 12)).items():
        assert share == pytest.approx(naive_recall(scores, right, k))


def test_a_tie_counts_against_the_model() -> None:
    right = np.eye(4, dtype=bool)
    assert first_right_ranks(np.zeros((4, 4)), right).tolist() == [4, 4, 4, 4]
    assert recall_at_k(np.zeros((4, 4)), right, (1,))[1] == 0


def test_top_k_accuracy() -> None:
    scores = np.array([[0.1, 0.9, 0.0], [0.5, 0.2, 0.3], [0.3, 0.4, 0.2]])
    truth = np.array([1, 2, 2])
    assert top_k_accuracy(scores, truth) == pytest.approx(1 / 3)
    assert top_k_accuracy(scores, truth, 2) == pytest.approx(2 / 3)
    assert top_k_accuracy(scores, truth, 3) == 1


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="one shape"):
        recall_at_k(np.zeros((2, 3)), np.ones((3, 2), bool))
    with pytest.raises(ValueError, match="at least one right"):
        recall_at_k(np.zeros((1, 2)), np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match="NaN"):
        recall_at_k(np.full((1, 2), np.nan), np.ones((1, 2), bool))
    with pytest.raises(ValueError, match="at least 1"):
        recall_at_k(np.zeros((1, 2)), np.ones((1, 2), bool), (0,))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        top_k_accuracy(np.zeros((1, 2)), np.array([2]))
