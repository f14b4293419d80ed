"""A run of training on people's ratings as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from videomm.render.training_report import WIDTH, fill_report, section, video_plot
from videomm.types import Array

_HEIGHT, _MARGIN = 120, 4


@dataclass(frozen=True, repr=False, eq=False)
class RatedTimeline:
    """Importance in one video, as it is given and as people see it.

    Attributes:
        clip: the file.
        tau: Kendall's, of the model with people.
        times: float64 (N,) seconds.
        said: float (N,), of the model.
        people: float (N,), their mean; NaN where they say nothing.
    """

    clip: str
    tau: float
    times: Array
    said: Array
    people: Array


def build_importance_report(
    name: str, settings: dict[str, Any], metrics: dict[str, Any], worst: Sequence[RatedTimeline]
) -> str:
    """The page: figures beside floor and ceiling, curves, the videos that are furthest from right.

    Args:
        name: of the model.
        settings: as `settings.json` holds them.
        metrics: as `metrics.json` holds them.
        worst: videos to show, worst first.
    """
    legend = (
        '<p class="legend"><span class="key importance"></span>this model '
        '<span class="key similarity"></span>people on average; each from its least to its most</p>'
    )
    shown = legend + "".join(map(_video, worst))
    return fill_report(
        name,
        settings,
        metrics,
        unit="videos",
        how="importance",
        floors="Untrained: the importance that summaries have without training. People's mean: "
        "the mean of all people held against each of them, about what one rating for all can "
        "reach. 1 is the same order, 0 none, -1 the reverse.",
        sections=[section("worst", "The videos furthest from what people say", shown)],
    )


def _video(item: RatedTimeline) -> str:
    words = f"Kendall's tau {item.tau:.2f} with people in {item.clip}"
    lines = "".join(
        f'<polyline class="{name}" points="{_points(item.times, values)}"/>'
        for name, values in (("importance", item.said), ("similarity", item.people))
    )
    title = f"tau {item.tau:.2f}"
    return video_plot(title, item.clip, float(item.times[-1]), words, lines, _HEIGHT)


def _points(times: Array, values: Array) -> str:
    said = ~np.isnan(values)
    times, values = times[said], values[said]
    span = max(float(values.max() - values.min()), 1e-9)
    xs = times / max(float(times[-1]), 1e-9) * WIDTH
    ys = _MARGIN + (1 - (values - values.min()) / span) * (_HEIGHT - 2 * _MARGIN)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
