"""Calibration: does a confidence of 0.8 mean that 80 of 100 such answers are right?

Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017, section 2. The
confidence is the score of the predicted class. With M bins of equal width, bin m holds the
confidences in ((m - 1) / M, m / M]; 0 belongs to the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# As many as in the paper; errors with other numbers of bins cannot be compared with it.
BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """The bars of a reliability diagram of M bins.

    Attributes:
        edges: float64 (M + 1,), from 0 to 1.
        counts: int64 (M,), answers a bin.
        confidence: float64 (M,), mean confidence; NaN where a bin is empty.
        accuracy: float64 (M,), share of right answers; NaN where a bin is empty.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]


def reliability(
    confidences: npt.NDArray[np.floating[Any]], right: npt.NDArray[np.bool_], bins: int = BINS
) -> Reliability:
    """Sort answers into bins of equal width by their confidence.

    Args:
        confidences: Float (N,) from 0 to 1.
        right: Bool (N,), whether each answer is right.
        bins: M.

    Raises:
        ValueError: If lengths differ or are 0, a confidence is not in [0, 1], or bins is below 1.
    """
    if confidences.ndim != 1 or confidences.shape != right.shape or not len(right):
        raise ValueError(
            "confidences and right must be vectors of one length of at least 1, got "
            f"{confidences.shape} and {right.shape}"
        )
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError(
            "confidences must be from 0 to 1, got "
            f"{confidences.min()}..{confidences.max()}: turn scores into probabilities first"
        )
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    edges = np.linspace(0, 1, bins + 1)
    places = np.maximum(np.searchsorted(edges, confidences, side="left") - 1, 0)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of an empty bin
        confidence = np.bincount(places, confidences, bins) / counts
        accuracy = np.bincount(places, right, bins) / counts
    return Reliability(edges, counts, confidence, accuracy)


def expected_calibration_error(
    confidences: npt.NDArray[np.floating[Any]], right: npt.NDArray[np.bool_], bins: int = BINS
) -> float:
    """Mean distance of accuracy and confidence over the bins, weighted by their counts.

    ECE = sum over bins of count / N * |accuracy - confidence| (Guo et al. 2017, equation 3).

    Args:
        confidences: Float (N,) from 0 to 1.
        right: Bool (N,).
        bins: M; say it beside the figure.

    Raises:
        ValueError: As `reliability`.
    """
    bars = reliability(confidences, right, bins)
    gaps = np.abs(bars.accuracy - bars.confidence)
    return float(np.nansum(gaps * bars.counts) / len(right))
