"""How good scores of labelled clips are, with intervals, beside what costs nothing to reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from videomm.errors import InvalidInputError
from videomm.evaluation.bootstrap import bootstrap_interval
from videomm.evaluation.calibration import expected_calibration_error, reliability
from videomm.evaluation.classification import (
    ClassScores,
    confusion_matrix,
    macro_f1,
    mean_average_precision,
    per_class,
)
from videomm.evaluation.metrics import top_k_accuracy
from videomm.types import Array

RESAMPLES = 300
PRESENT = 0.5
Metric = Callable[[Array, npt.NDArray[np.bool_]], float]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is right of N clips.

    Attributes:
        right: bool (N, L); one a row for single-label data.
        sources: int (N,), what each clip comes from; clips of one source are not independent.
        labels: L names.
        multi_label: whether each label is a question of its own.
    """

    right: npt.NDArray[np.bool_]
    sources: Array
    labels: Sequence[str]
    multi_label: bool


def measure(
    scores: Array, truth: Truth, *, prior: Array, zero_shot: Array | None = None
) -> dict[str, Any]:
    """Figures of scores, as plain values.

    Intervals hold the true figure in 95 of 100 cases (percentile bootstrap over sources); they
    are None for fewer than two sources, and for the floor of the majority.

    Args:
        scores: float (N, L) in [0, 1].
        truth: of the same clips.
        prior: float (L,), how common each label is in what was learned from; the `majority` floor
            scores every clip with it.
        zero_shot: float (N, L), what the same encoder says untrained; None where `scores` are
            that.

    Returns:
        `figures`, `zero_shot` and `majority`, each a metric to its `value`, `low` and `high`; the
        `gain` of the model over zero-shot in its first metric; `per_class`; `confusion`, a row a
        right label, for single labels; the bars of the `reliability` diagram.

    Raises:
        InvalidInputError: no clip has a label.
    """
    if not truth.right.any():
        raise InvalidInputError("no clip that is to be measured has a label; add some that have")
    # Labels that are equally common are told apart by their order.
    floor = np.tile(prior - 1e-9 * np.arange(len(prior)), (len(scores), 1)).clip(0, 1)
    out: dict[str, Any] = {
        "clips": len(scores),
        "sources": len(np.unique(truth.sources)),
        "labels": list(truth.labels),
        "multi_label": truth.multi_label,
        "figures": _intervals(scores, truth),
        "zero_shot": None if zero_shot is None else _intervals(zero_shot, truth),
        "majority": {
            name: {"value": metric(floor, truth.right), "low": None, "high": None}
            for name, metric in _metrics(truth).items()
        },
        "gain": None if zero_shot is None else _gain(scores, zero_shot, truth),
        "per_class": [asdict(row) for row in _per_class(scores, truth)],
        "confusion": None,
        "reliability": reliability_bars(*_answers(scores, truth.right, truth.multi_label)),
    }
    if not truth.multi_label:
        best, right = scores.argmax(axis=1), truth.right.argmax(axis=1)
        out["confusion"] = confusion_matrix(best, right, len(truth.labels)).tolist()
    return out


def _metrics(truth: Truth) -> dict[str, Metric]:
    found: dict[str, Metric] = {
        "mean_average_precision": mean_average_precision,
        "macro_f1": _macro_f1_present if truth.multi_label else _macro_f1_best,
        "calibration_error": _calibration_error(truth.multi_label),
    }
    if truth.multi_label:
        return found
    top: dict[str, Metric] = {"top1": lambda s, r: top_k_accuracy(s, r.argmax(axis=1), 1)}
    if len(truth.labels) > 5:
        top["top5"] = lambda s, r: top_k_accuracy(s, r.argmax(axis=1), 5)
    return top | found


def _macro_f1_best(scores: Array, right: Array) -> float:
    return macro_f1(scores.argmax(axis=1), right.argmax(axis=1))


def _macro_f1_present(scores: Array, right: Array) -> float:
    present = scores >= PRESENT
    return float(sklearn_metrics.f1_score(right, present, average="macro", zero_division=0))


def _answers(scores: Array, right: Array, multi_label: bool) -> tuple[Array, Array]:
    """Confidences and whether they are right: of the best label, or of every yes and no."""
    if multi_label:
        confidences = np.maximum(scores, 1 - scores)
        return confidences.ravel(), ((scores >= PRESENT) == right).ravel()
    best = scores.argmax(axis=1)
    rows = np.arange(len(scores))
    return scores[rows, best], right[rows, best]


def _calibration_error(multi_label: bool) -> Metric:
    return lambda s, r: expected_calibration_error(*_answers(s, r, multi_label))


def _intervals(scores: Array, truth: Truth) -> dict[str, dict[str, float | None]]:
    return {
        name: interval_over(truth.sources, metric, scores, truth.right)
        for name, metric in _metrics(truth).items()
    }


def _gain(scores: Array, zero_shot: Array, truth: Truth) -> dict[str, Any]:
    """The difference in the first metric, on the same resamples for both."""
    name, metric = next(iter(_metrics(truth).items()))

    def difference(ours: Array, theirs: Array, right: Array) -> float:
        return metric(ours, right) - metric(theirs, right)

    return {
        "metric": name,
        **interval_over(truth.sources, difference, scores, zero_shot, truth.right),
    }


def mean(values: Array) -> float:
    """The metric of rows that have a figure each."""
    return float(values.mean())


def interval_over(
    sources: Array, metric: Callable[..., float], *arrays: Array
) -> dict[str, float | None]:
    """A figure with its interval over sources, as plain values.

    Args:
        sources: int (N,), what each row comes from.
        metric: of the arrays.
        arrays: (N, ...) each.

    Returns:
        `value`, `low` and `high`; the last two are None for one source, and where a resample has
        no figure.
    """
    sources, places = np.unique(sources, return_inverse=True)
    members = [np.flatnonzero(places == place) for place in range(len(sources))]

    def of_sources(drawn: Array) -> float:
        rows = np.concatenate([members[place] for place in drawn])
        return metric(*(array[rows] for array in arrays))

    try:
        found = bootstrap_interval(of_sources, np.arange(len(sources)), resamples=RESAMPLES)
    except ValueError:  # one source, or no right label in a resample
        return {"value": float(metric(*arrays)), "low": None, "high": None}
    return asdict(found)


def _per_class(scores: Array, truth: Truth) -> tuple[ClassScores, ...]:
    if not truth.multi_label:
        return per_class(scores.argmax(axis=1), truth.right.argmax(axis=1), truth.labels)
    present = scores >= PRESENT
    columns = sklearn_metrics.precision_recall_fscore_support(
        truth.right, present, average=None, zero_division=0
    )
    return tuple(
        ClassScores(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(truth.labels, *columns, strict=True)
    )


def reliability_bars(confidences: Array, correct: Array) -> list[dict[str, float]]:
    """The bars of the reliability diagram that hold answers, as plain values; see `reliability`."""
    found = reliability(confidences, correct)
    return [
        {
            "low": float(found.edges[i]),
            "high": float(found.edges[i + 1]),
            "answers": int(found.counts[i]),
            "confidence": float(found.confidence[i]),
            "accuracy": float(found.accuracy[i]),
        }
        for i in np.flatnonzero(found.counts)
    ]
