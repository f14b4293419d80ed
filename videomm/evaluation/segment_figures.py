"""How good labels of frames are, with intervals over videos, beside what costs nothing to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from videomm.evaluation.calibration import expected_calibration_error
from videomm.evaluation.classification import confusion_matrix, per_class
from videomm.evaluation.figures import interval_over, mean, reliability_bars
from videomm.evaluation.segmentation import score_segmentation
from videomm.types import Array

_PERCENT = 100


@dataclass(frozen=True, eq=False)
class FrameAnswers:
    """What is said of the frames of V videos.

    Attributes:
        labels: V of int (N,), a label a frame.
        scores: V of float (N, L) in [0, 1].
    """

    labels: Sequence[Array]
    scores: Sequence[Array]


@dataclass(frozen=True, eq=False)
class SegmentTruth:
    """What is right of the frames of V videos.

    Attributes:
        labels: V of int (N,).
        sources: int (V,), what each video comes from.
        names: L names.
        background: the label that takes no part in edit score and F1; None where all do.
    """

    labels: Sequence[Array]
    sources: Array
    names: Sequence[str]
    background: int | None


def measure_segments(
    answers: FrameAnswers, truth: SegmentTruth, *, prior: Array, zero_shot: FrameAnswers
) -> dict[str, Any]:
    """Figures of labelled frames, as plain values.

    The metrics of `score_segmentation`, as shares of 1, means over videos; the calibration error
    is over frames. Intervals are as those of `measure`.

    Args:
        answers: of the model.
        truth: of the same videos.
        prior: float (L,), shares of the frames that were learned from; the `majority` floor gives
            every frame the most common label.
        zero_shot: what the same encoder says untrained.

    Returns:
        As `measure`, with frames in `per_class` and `confusion`, and with a row a video in
        `videos`: its figures.
    """
    rows = _rows(answers, truth)
    floor = _rows(zero_shot, truth)
    said, right = np.concatenate(answers.labels), np.concatenate(truth.labels)
    gain = _column(rows, "accuracy") - _column(floor, "accuracy")
    return {
        "clips": len(truth.labels),
        "sources": len(np.unique(truth.sources)),
        "labels": list(truth.names),
        "multi_label": False,
        "figures": _figures(answers, rows, truth),
        "zero_shot": _figures(zero_shot, floor, truth),
        "majority": {
            name: figure | {"low": None, "high": None}
            for name, figure in _majority(prior, truth).items()
        },
        "gain": {"metric": "accuracy", **interval_over(truth.sources, mean, gain)},
        "per_class": [asdict(row) for row in per_class(said, right, truth.names)],
        "confusion": confusion_matrix(said, right, len(truth.names)).tolist(),
        "reliability": reliability_bars(*_certainty(answers, truth)),
        "videos": rows,
    }


def _column(rows: Sequence[dict[str, float]], name: str) -> Array:
    return np.array([row[name] for row in rows])


def _rows(answers: FrameAnswers, truth: SegmentTruth) -> list[dict[str, float]]:
    """Figures of each video."""
    return [
        {
            name: value / _PERCENT
            for name, value in score_segmentation([said], [right], truth.background).items()
        }
        for said, right in zip(answers.labels, truth.labels, strict=True)
    ]


def _figures(
    answers: FrameAnswers, rows: Sequence[dict[str, float]], truth: SegmentTruth
) -> dict[str, dict[str, float | None]]:
    found = {name: interval_over(truth.sources, mean, _column(rows, name)) for name in rows[0]}
    sources = np.repeat(truth.sources, [len(labels) for labels in truth.labels])
    error = interval_over(sources, expected_calibration_error, *_certainty(answers, truth))
    return found | {"calibration_error": error}


def _certainty(answers: FrameAnswers, truth: SegmentTruth) -> tuple[Array, Array]:
    """The score of each frame's label, and whether it is right."""
    pairs = zip(answers.labels, answers.scores, strict=True)
    scores = [values[np.arange(len(labels)), labels] for labels, values in pairs]
    correct = np.concatenate(answers.labels) == np.concatenate(truth.labels)
    return np.concatenate(scores), correct


def _majority(prior: Array, truth: SegmentTruth) -> dict[str, dict[str, float | None]]:
    lengths = [len(labels) for labels in truth.labels]
    always = FrameAnswers(
        [np.full(length, int(prior.argmax())) for length in lengths],
        [np.tile(prior, (length, 1)) for length in lengths],
    )
    return _figures(always, _rows(always, truth), truth)
