"""A timeline as SVG: importance, similarity, scenes and the chosen stretches."""

from __future__ import annotations

from html import escape
from itertools import pairwise

import numpy as np

from videomm.models.video_model import VideoModel
from videomm.render.webvtt import chapter_title
from videomm.tasks.summarize import rate_importance, similarity_to_previous
from videomm.types import Array, Summary, Timeline, clock

_WIDTH, _HEIGHT = 960, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 24, 10, 46
_PLOT_WIDTH = _WIDTH - _LEFT - _RIGHT
_PLOT_HEIGHT = _HEIGHT - _TOP - _BOTTOM
_TICK_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def timeline_svg(summary: Summary, timeline: Timeline, importance: Array) -> str:
    """The plot, with each scene as a button `data-scene="I"` that can be focused.

    Args:
        summary: of the timeline.
        timeline: N frames.
        importance: (N,) in [0, 1].
    """
    times = timeline.times
    end = max(summary.duration, float(times[-1]), 1e-3)

    def x(seconds: Array | float) -> Array:
        return _LEFT + np.asarray(seconds) / end * _PLOT_WIDTH

    bands = []
    for number, scene in enumerate(summary.scenes):
        left, right = float(x(scene.start)), float(x(scene.end))
        label = (
            f"{chapter_title(number + 1, scene)}. "
            f"{clock(scene.start)} to {clock(scene.end)}. Show its frame"
        )
        bands.append(
            f'<g class="band band{number % 2}" role="button" tabindex="0" data-scene="{number}" '
            f'aria-label="{escape(label)}"><title>{escape(label)}</title>'
            f'<rect x="{left:.1f}" y="{_TOP}" width="{max(right - left, 1):.1f}" '
            f'height="{_PLOT_HEIGHT}"/></g>'
        )
    chosen = "".join(
        f'<rect class="chosen" x="{float(x(item.start)):.1f}" y="{_TOP + _PLOT_HEIGHT + 3}" '
        f'width="{max(float(x(item.end) - x(item.start)), 2):.1f}" height="7" rx="2"/>'
        for item in summary.segments
    )
    lines = "".join(
        f'<polyline class="{name}" points="{_points(x(times), values)}"/>'
        for name, values in (
            ("importance", importance),
            ("similarity", np.clip(similarity_to_previous(timeline), 0, 1)),
        )
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label="Timeline: '
        f'importance and similarity of each frame, {len(summary.scenes)} scenes">'
        f"{''.join(bands)}{_axes(end)}{lines}{chosen}</svg>"
    )


def importance_in(summary: Summary, timeline: Timeline, model: VideoModel | None = None) -> Array:
    """Importance of each frame, as the summary was made from it: float64 (N,).

    Args:
        summary: of the timeline.
        timeline: N frames.
        model: that the summary was made with, where it was trained on people's ratings.
    """
    later = [scene.start - 1e-6 for scene in summary.scenes[1:]]
    cuts = np.searchsorted(timeline.times, later).tolist()
    return rate_importance(timeline, list(pairwise([0, *cuts, len(timeline)])), model)


def _points(xs: Array, values: Array) -> str:
    ys = _TOP + (1 - values) * _PLOT_HEIGHT
    pairs = [f"{a:.1f},{b:.1f}" for a, b in zip(xs, ys, strict=True)]
    # A single frame is drawn as a short line.
    return " ".join(pairs if len(pairs) > 1 else [*pairs, f"{xs[0] + 4:.1f},{ys[0]:.1f}"])


def _axes(end: float) -> str:
    step = next((s for s in _TICK_STEPS if end / s <= 10), 7200.0)
    parts = []
    for tick in np.arange(0, end + 1e-9, step).tolist():
        left = _LEFT + tick / end * _PLOT_WIDTH
        parts.append(f'<text x="{left:.1f}" y="{_HEIGHT - 14}">{_tick(tick)}</text>')
    for value in (0, 0.5, 1):
        y = _TOP + (1 - value) * _PLOT_HEIGHT
        parts.append(f'<text class="level" x="{_LEFT - 6}" y="{y + 4:.1f}">{value:g}</text>')
    return f'<g class="axes" aria-hidden="true">{"".join(parts)}</g>'


def _tick(seconds: float) -> str:
    return clock(seconds).removesuffix(".0")
