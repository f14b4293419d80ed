"""Moment retrieval: does the segment that a query finds lie where the moment is?

Gao, Sun, Yang, Nevatia: "TALL: Temporal Activity Localization via Language Query", ICCV 2017:
"R@n, IoU=m", here with n = 1; an IoU of exactly m counts. Segments are `[start, end)` in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

THRESHOLDS = (0.3, 0.5, 0.7)


def temporal_iou(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Intersection over union of segments in time.

    Args:
        first: Float (..., 2), starts and ends.
        second: Float (..., 2), of a shape that fits.

    Returns:
        Float64 (...), from 0 to 1; 0 where both are empty.

    Raises:
        ValueError: If a last axis is not 2, or a segment has no start <= end.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    for segments in (a, b):
        if segments.shape[-1:] != (2,) or not (segments[..., 0] <= segments[..., 1]).all():
            raise ValueError(
                f"segments must be (..., 2) with start <= end, got {segments.shape} "
                f"{segments.tolist()!r:.80}"
            )
    shared = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    # Of segments that overlap the hull is the union; of others it does not matter.
    hull = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
    return np.where(shared > 0, shared / np.where(hull > 0, hull, 1), 0.0)


def found_ious(
    predicted: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """IoU of each query's first moment with the right one: float64 (N,), 0 where none was found.

    Args:
        predicted: Float (N, 2), the best segment of each query; NaN where it found none.
        truth: Float (N, 2), the right one.

    Raises:
        ValueError: If shapes differ, there is no query, or as `temporal_iou`.
    """
    if predicted.ndim != 2 or predicted.shape != truth.shape or not len(truth):
        raise ValueError(
            "predicted and truth must both be (N, 2) with N of at least 1, got "
            f"{predicted.shape} and {truth.shape}"
        )
    # An empty segment has an IoU of 0 with every other.
    nothing = np.isnan(predicted).all(axis=1, keepdims=True)
    return temporal_iou(np.where(nothing, 0.0, predicted), truth)


def recall_at_iou(
    predicted: npt.NDArray[np.float64],
    truth: npt.NDArray[np.float64],
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[float, float]:
    """R@1: the share of queries whose first moment has an IoU of at least the threshold.

    Args:
        predicted: As `found_ious`.
        truth: As `found_ious`.
        thresholds: Above 0, at most 1.

    Returns:
        Threshold to share.

    Raises:
        ValueError: As `found_ious`, or if a threshold is out of range.
    """
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds must be above 0 and at most 1, got {tuple(thresholds)}")
    ious = found_ious(predicted, truth)
    return {threshold: float((ious >= threshold).mean()) for threshold in thresholds}


def mean_iou(predicted: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    """Mean of `found_ious` over all queries, those without a moment included."""
    return float(found_ious(predicted, truth).mean())
