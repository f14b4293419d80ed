"""Training curves and the reliability diagram as SVG, each with its gist as alternative text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 960, 260
_SIDE = 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 12, 34


def curves_svg(history: Sequence[dict[str, float]], best: int) -> str:
    """Training and validation loss by epoch.

    Args:
        history: rows from epoch 0, as `fit` gives them.
        best: the epoch that was kept.
    """
    last = max(len(history) - 1, 1)
    losses = [row[key] for row in history for key in ("train_loss", "val_loss") if key in row]
    top = max(*losses, 1e-9)

    def x(epoch: float) -> float:
        return _LEFT + epoch / last * (_WIDTH - _LEFT - _RIGHT)

    def y(loss: float) -> float:
        return _TOP + (1 - loss / top) * (_HEIGHT - _TOP - _BOTTOM)

    lines = "".join(
        f'<polyline class="{name}" points="{_points(history, key, x, y)}"/>'
        for name, key in (("importance", "train_loss"), ("similarity", "val_loss"))
    )
    first, kept = history[0]["val_loss"], history[best]["val_loss"]
    words = (
        f"Loss by epoch. The validation loss went from {first:.3f} before training to {kept:.3f} "
        f"in epoch {best}, which was kept; the last was epoch {len(history) - 1}."
    )
    step = max(1, round(last / 10))
    labels = [(x(epoch), str(epoch)) for epoch in range(0, len(history), step)]
    levels = [(y(top * share), f"{top * share:.2f}") for share in (0, 0.5, 1)]
    mark = f'<line class="best" x1="{x(best):.1f}" x2="{x(best):.1f}" y1="{_TOP}" y2="{y(0):.1f}"/>'
    return _svg(_WIDTH, _HEIGHT, words, _axes(_WIDTH, _HEIGHT, labels, levels) + mark + lines)


def reliability_svg(bars: Sequence[dict[str, Any]], error: float) -> str:
    """Share of right answers by score, a dot a bin.

    Args:
        bars: as `measure` gives them.
        error: the calibration error, for the words.
    """
    size = _SIDE - _LEFT - _RIGHT

    def x(value: float) -> float:
        return _LEFT + value * size

    def y(value: float) -> float:
        return _TOP + (1 - value) * size

    height = _TOP + size + _BOTTOM
    most = max(bar["answers"] for bar in bars)
    dots = "".join(
        f'<circle cx="{x(bar["confidence"]):.1f}" cy="{y(bar["accuracy"]):.1f}" '
        f'r="{4 + 8 * (bar["answers"] / most) ** 0.5:.1f}"><title>{bar["answers"]} answers with a '
        f"score of {bar['confidence']:.2f} on average, {bar['accuracy']:.2f} of them right</title>"
        "</circle>"
        for bar in bars
    )
    ticks = (0, 0.5, 1)
    axes = _axes(
        _SIDE, height, [(x(t), f"{t:g}") for t in ticks], [(y(t), f"{t:g}") for t in ticks]
    )
    diagonal = f'<line class="diagonal" x1="{x(0)}" y1="{y(0):.1f}" x2="{x(1)}" y2="{y(1):.1f}"/>'
    words = f"Reliability: score against share of right answers; calibration error {error:.3f}."
    return _svg(_SIDE, height, words, axes + diagonal + dots)


def _points(history: Sequence[dict[str, float]], key: str, x: Any, y: Any) -> str:
    return " ".join(f"{x(r['epoch']):.1f},{y(r[key]):.1f}" for r in history if key in r)


def _axes(
    width: int,
    height: int,
    across: Sequence[tuple[float, str]],
    up: Sequence[tuple[float, str]],
) -> str:
    parts = [f'<text x="{at:.1f}" y="{height - 10}">{text}</text>' for at, text in across]
    for at, text in up:
        parts.append(
            f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="level" x="{_LEFT - 6}" y="{at + 4:.1f}">{text}</text>'
        )
    return f'<g class="axes" aria-hidden="true">{"".join(parts)}</g>'


def _svg(width: int, height: int, words: str, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(words)}">'
        f"{inside}</svg>"
    )
