"""Temporal segmentation: how well per-frame labels agree, as runs of frames and frame by frame.

The metrics of Lea et al. 2017 (https://arxiv.org/abs/1611.05267, section 4): each is taken a
video, in percent; a data set's figure is the mean over its videos. A run is a longest stretch of
frames with one label. Runs of the background class take no part in the edit score and in F1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from videomm.tasks.classify import runs_of

Labels = npt.NDArray[np.integer[Any]]


def find_runs(labels: Labels, background: int | None = None) -> npt.NDArray[np.int64]:
    """The runs of equal labels.

    Args:
        labels: Integers (T,), one a frame.
        background: A label whose runs are left out.

    Returns:
        Int64 (R, 3), in order of time: label, first frame, and the frame after the last.

    Raises:
        ValueError: If labels are not a vector of integers with at least one frame.
    """
    _check(labels)
    runs = np.array([(labels[first], first, last) for first, last in runs_of(labels)], np.int64)
    return runs if background is None else runs[runs[:, 0] != background]


def frame_accuracy(predicted: Labels, truth: Labels) -> float:
    """Percent of a video's frames (T,) whose label is right, background included.

    Raises:
        ValueError: If the two differ in length, or as `find_runs`.
    """
    _check_pair(predicted, truth)
    return 100 * float((predicted == truth).mean())


def edit_score(predicted: Labels, truth: Labels, background: int | None = None) -> float:
    """Order of the runs, whatever their length: 100 is right.

    100 * (1 - d / max(P, R)), with d the Levenshtein distance between the labels of the P
    predicted and the R true runs. Where both have none the score is 100.

    Args:
        predicted: Labels (T,).
        truth: Labels (T,).
        background: A label whose runs are left out.

    Raises:
        ValueError: If the two differ in length, or as `find_runs`.
    """
    _check_pair(predicted, truth)
    mine, right = (find_runs(labels, background)[:, 0] for labels in (predicted, truth))
    longest = max(len(mine), len(right))
    return 100 * (1 - _levenshtein(mine, right) / longest) if longest else 100.0


def overlap_f1(
    predicted: Labels, truth: Labels, overlap: float, background: int | None = None
) -> float:
    """F1@k: a predicted run is right where it overlaps a true one of its label enough.

    In order of time, each predicted run is held against the true run of its label with the highest
    intersection over union: it is a hit where that is at least `overlap` and nothing has hit that
    true run before, and a false alarm otherwise. Where neither has a run the score is 100.

    Args:
        predicted: Labels (T,).
        truth: Labels (T,).
        overlap: Least intersection over union, above 0 and at most 1: 0.1, 0.25, 0.5.
        background: A label whose runs are left out.

    Raises:
        ValueError: If the two differ in length, an overlap is out of range, or as `find_runs`.
    """
    _check_pair(predicted, truth)
    if not 0 < overlap <= 1:
        raise ValueError(f"overlap must be above 0 and at most 1, got {overlap}")
    mine, right = find_runs(predicted, background), find_runs(truth, background)
    if not len(mine) or not len(right):
        return 100.0 if len(mine) == len(right) else 0.0
    hit = np.zeros(len(right), dtype=np.bool_)
    for label, start, end in mine:
        shared = np.minimum(end, right[:, 2]) - np.maximum(start, right[:, 1])
        union = np.maximum(end, right[:, 2]) - np.minimum(start, right[:, 1])
        share = np.where(right[:, 0] == label, shared / union, 0.0)
        best = int(share.argmax())
        if share[best] >= overlap:
            hit[best] = True
    # Hits, with twice their number over all runs as the F1: 2 P R / (P + R).
    return 100 * 2 * float(hit.sum()) / (len(mine) + len(right))


def score_segmentation(
    predicted: Sequence[Labels], truth: Sequence[Labels], background: int | None = None
) -> dict[str, float]:
    """All figures of a data set: means over its videos, in percent.

    Args:
        predicted: Labels (T,) of each video.
        truth: Labels (T,) of each video, in the same order.
        background: A label whose runs are left out of the edit score and of F1.

    Returns:
        `accuracy`, `edit`, `f1@10`, `f1@25` and `f1@50`.

    Raises:
        ValueError: If there is no video, the numbers of videos differ, or as `find_runs`.
    """
    if not len(truth) or len(predicted) != len(truth):
        raise ValueError(
            "predicted and truth must hold the same videos, at least one, got "
            f"{len(predicted)} and {len(truth)}"
        )
    pairs = list(zip(predicted, truth, strict=True))
    figures = {
        "accuracy": [frame_accuracy(p, t) for p, t in pairs],
        "edit": [edit_score(p, t, background) for p, t in pairs],
    }
    for percent in (10, 25, 50):
        figures[f"f1@{percent}"] = [overlap_f1(p, t, percent / 100, background) for p, t in pairs]
    return {name: float(np.mean(values)) for name, values in figures.items()}


def _check(labels: Labels) -> None:
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "labels must be a vector of integers with at least one frame, got shape "
            f"{labels.shape} and type {labels.dtype}"
        )


def _check_pair(predicted: Labels, truth: Labels) -> None:
    _check(predicted)
    _check(truth)
    if predicted.shape != truth.shape:
        raise ValueError(
            "predicted and truth must have one label for each of the same frames, got "
            f"{predicted.shape} and {truth.shape}"
        )


def _levenshtein(first: Labels, second: Labels) -> int:
    """Least number of insertions, removals and replacements that turn one into the other."""
    row = np.arange(len(second) + 1)
    for i, label in enumerate(first, 1):
        previous, row = row, np.empty_like(row)
        row[0] = i
        for j, other in enumerate(second, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (label != other))
    return int(row[-1])
