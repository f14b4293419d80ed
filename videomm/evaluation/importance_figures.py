"""How well importance follows people, beside what is untrained and the mean of all people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from videomm.evaluation.figures import interval_over, mean
from videomm.evaluation.summaries import kendall_tau, spearman_rho
from videomm.types import Array

_METRICS = {"kendall_tau": kendall_tau, "spearman_rho": spearman_rho}


def measure_importance(
    rated: Sequence[Array], untrained: Sequence[Array], people: Sequence[Array], sources: Array
) -> dict[str, Any]:
    """Rank correlations with each person, as plain values.

    Kendall's tau-b and Spearman's rho on the frames that all people rate, a mean over people, then
    over videos (Otani et al. 2019). What rates all frames alike has no order, and 0. Intervals are
    as those of `measure`.

    Args:
        rated: V of float (N,), of the model.
        untrained: V of float (N,), what it began with.
        people: V of float (P, N), NaN where a person says nothing; at least one person has an
            order in each.
        sources: int (V,), what each video comes from.

    Returns:
        `figures`, `untrained` and `people` (the mean of all people, the person's own rating
        included: about what one rating for all can reach), each a metric to its `value`, `low` and
        `high`; the `gain` over untrained in the first metric; a row a video in `videos`.
    """
    means = [np.asarray(ratings.mean(axis=0)) for ratings in people]
    rows = {
        name: [_correlate(*pair) for pair in zip(values, people, strict=True)]
        for name, values in (("figures", rated), ("untrained", untrained), ("people", means))
    }
    columns = {
        name: {key: np.array([row[key] for row in found]) for key in _METRICS}
        for name, found in rows.items()
    }
    first = next(iter(_METRICS))
    gain = columns["figures"][first] - columns["untrained"][first]
    figures = {
        name: {key: interval_over(sources, mean, values) for key, values in found.items()}
        for name, found in columns.items()
    }
    return {
        "clips": len(people),
        "sources": len(np.unique(sources)),
        **figures,
        "gain": {"metric": first, "over": "untrained", **interval_over(sources, mean, gain)},
        "videos": rows["figures"],
    }


def _correlate(values: Array, people: Array) -> dict[str, float]:
    said = ~np.isnan(people).any(axis=0)
    values, people = values[said], people[:, said]
    people = people[people.min(axis=1) < people.max(axis=1)]
    if values.min() == values.max():
        return dict.fromkeys(_METRICS, 0.0)
    return {name: float(metric(values, people).mean()) for name, metric in _METRICS.items()}
