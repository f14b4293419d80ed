"""Figures in words, alike in the terminal, the model card and the report."""

from __future__ import annotations

from typing import Any

NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_average_precision": "mean average precision",
    "macro_f1": "macro F1",
    "accuracy": "frame accuracy",
    "edit": "edit score",
    "f1@10": "F1@10",
    "f1@25": "F1@25",
    "f1@50": "F1@50",
    "calibration_error": "calibration error",
}


def figure_text(figure: dict[str, float | None] | None) -> str:
    """A figure with its interval where it has one; a dash for none."""
    if figure is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def figure_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """A row a metric: its name, the model's figure, zero-shot's and the majority's."""
    return [
        [
            NAMES[key],
            figure_text(figure),
            figure_text((metrics["zero_shot"] or {}).get(key)),
            figure_text(metrics["majority"][key]),
        ]
        for key, figure in metrics["figures"].items()
    ]


def gain_text(gain: dict[str, Any] | None) -> str:
    """Whether training helped, in a sentence; empty where nothing was trained."""
    if gain is None:
        return ""
    name, value = NAMES[gain["metric"]], gain["value"]
    if gain["low"] is None:
        return f"Difference to zero-shot: {value:+.3f} {name}, on too few sources for an interval."
    span = f"{value:+.3f} {name} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    if gain["low"] > 0:
        return f"Gain over zero-shot: {span}."
    if gain["high"] < 0:
        return f"Worse than zero-shot: {span}; more clips or fewer epochs may help."
    return f"No gain over zero-shot that these clips can show: {span}."
