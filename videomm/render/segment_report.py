"""A run of training on labelled segments as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from videomm.render.training_report import (
    WIDTH,
    confusion_section,
    fill_report,
    labels_section,
    reliability_section,
    section,
    video_plot,
)
from videomm.tasks.classify import runs_of
from videomm.types import Array, clock

_LEFT, _BAND, _GAP = 64, 22, 4
# Degrees from hue to hue: neighbours differ much, and none comes again soon.
_HUE_STEP = 137.508


@dataclass(frozen=True, repr=False, eq=False)
class LabelledTimeline:
    """The labels of one video's frames, right ones and given ones.

    Attributes:
        clip: the file.
        accuracy: share of its frames that are right.
        bounds: float64 (N + 1,) seconds: frame i stands for [bounds[i], bounds[i + 1]).
        right: int (N,).
        said: int (N,).
    """

    clip: str
    accuracy: float
    bounds: Array
    right: Array
    said: Array


def build_segment_report(
    name: str,
    settings: dict[str, Any],
    metrics: dict[str, Any],
    worst: Sequence[LabelledTimeline],
) -> str:
    """The page: figures beside their floors, curves, confusions, reliability, labels, videos.

    Args:
        name: of the model.
        settings: as `settings.json` holds them.
        metrics: as `metrics.json` holds them.
        worst: videos to show, worst first.
    """
    labels = metrics["labels"]
    shown = "".join(_video(item, labels) for item in worst)
    return fill_report(
        name,
        settings,
        metrics,
        unit="videos",
        how="labels of frames",
        floors="Zero-shot: what the same encoder says of each frame untrained, made steady over "
        "time. Majority: every frame gets the most common label. F1@50: a segment is found where "
        "it overlaps a right one by half of both together.",
        sections=[
            confusion_section(metrics, "frames"),
            reliability_section(metrics, "frames"),
            labels_section(metrics, "frames measured", "videos trained"),
            section("worst", "The videos with the most wrong frames", _legend(labels) + shown),
        ],
    )


def _colour(label: int) -> str:
    return f"hsl({label * _HUE_STEP % 360:.0f} 62% {42 + 12 * (label % 3)}%)"


def _legend(labels: Sequence[str]) -> str:
    keys = "".join(
        f'<span><span class="swatch" style="background:{_colour(place)}"></span>{escape(name)}'
        "</span> "
        for place, name in enumerate(labels)
    )
    return f'<p class="legend">{keys}</p>'


def _video(item: LabelledTimeline, labels: Sequence[str]) -> str:
    """Two bands: what is right above what was said."""
    height = 2 * _BAND + _GAP
    words = f"{item.accuracy:.0%} of the frames of {item.clip} are right"
    bands = "".join(
        f'<text x="0" y="{top + 16}">{title}</text>' + _band(item.bounds, values, labels, top)
        for title, values, top in (("right", item.right, 0), ("said", item.said, _BAND + _GAP))
    )
    title = f"{item.accuracy:.0%} right"
    return video_plot(title, item.clip, float(item.bounds[-1]), words, bands, height)


def _band(bounds: Array, values: Array, labels: Sequence[str], top: int) -> str:
    """A rectangle for each run of one label, which tells its name and times."""
    scale = (WIDTH - _LEFT) / max(float(bounds[-1]), 1e-9)
    out = []
    for first, last in runs_of(values):
        start, end, label = float(bounds[first]), float(bounds[last]), int(values[first])
        title = f"{labels[label]}, {clock(start)} to {clock(end)}"
        out.append(
            f'<rect x="{_LEFT + start * scale:.1f}" y="{top}" '
            f'width="{max((end - start) * scale, 0.5):.1f}" height="{_BAND}" '
            f'style="fill:{_colour(label)}"><title>{escape(title)}</title></rect>'
        )
    return "".join(out)
