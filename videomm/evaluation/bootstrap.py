"""How far a figure would move with other items: confidence intervals by the bootstrap.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from videomm.types import Array


@dataclass(frozen=True)
class Interval:
    """A figure with the bounds of its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_interval(
    metric: Callable[..., float],
    *arrays: Array,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over items: items are drawn with replacement, whole, all arrays alike.

    An item must be what is independent of the others: a video where its frames are not. The same
    seed gives the same interval.

    Args:
        metric: Takes the arrays, gives one number.
        arrays: Each (N, ...), one row an item.
        level: Share of intervals that shall hold the true figure, between 0 and 1.
        resamples: How often to draw N items.
        seed: Of the draws.

    Raises:
        ValueError: If lengths differ, there are fewer than 2 items, level or resamples is out of
            range, or the metric is NaN for a draw.
    """
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(
            f"the bootstrap needs arrays of one length of at least 2 items, got {sorted(lengths)}"
        )
    if not (0 < level < 1 and resamples >= 1):
        raise ValueError(
            f"level must be between 0 and 1 and resamples at least 1, got {level} and {resamples}"
        )

    def of_items(places: Array) -> float:
        value = float(metric(*(array[places] for array in arrays)))
        if math.isnan(value):
            raise ValueError("the metric is NaN for a draw of the items: it needs more of them")
        return value

    everything = np.arange(lengths.pop())
    low, high = stats.bootstrap(
        (everything,),
        of_items,
        vectorized=False,
        method="percentile",
        confidence_level=level,
        n_resamples=resamples,
        batch=1,  # all resamples at once would need resamples * N indices
        rng=np.random.default_rng(seed),
    ).confidence_interval
    # Of draws that are all the same the two differ by the rounding of their interpolation.
    return Interval(of_items(everything), float(low), float(max(low, high)))
