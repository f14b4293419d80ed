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
    "kendall_tau": "Kendall's tau",
    "spearman_rho": "Spearman's rho",
    "calibration_error": "calibration error",
}
BESIDE = {
    "zero_shot": "zero-shot",
    "untrained": "untrained",
    "majority": "majority",
    "people": "people's mean",
}


def figure_text(figure: dict[str, float | None] | None) -> str:
    """A figure with its interval where it has one; a dash for none."""
    if figure is None:
        return "-"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def figure_columns(metrics: dict[str, Any]) -> list[str]:
    """What `figure_rows` has after the name of a metric."""
    return ["this model", *(name for key, name in BESIDE.items() if key in metrics)]


def figure_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """A row a metric: its name, the model's figure, and those that stand beside it."""
    beside = [metrics[key] or {} for key in BESIDE if key in metrics]
    return [
        [NAMES[key], figure_text(figure), *(figure_text(other.get(key)) for other in beside)]
        for key, figure in metrics["figures"].items()
    ]


def gain_text(gain: dict[str, Any] | None) -> str:
    """Whether training helped, in a sentence; empty where nothing was trained."""
    if gain is None:
        return ""
    name, value, start = NAMES[gain["metric"]], gain["value"], gain.get("over", "zero-shot")
    if gain["low"] is None:
        return f"Difference to {start}: {value:+.3f} {name}, on too few sources for an interval."
    span = f"{value:+.3f} {name} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    if gain["low"] > 0:
        return f"Gain over {start}: {span}."
    if gain["high"] < 0:
        return f"Worse than {start}: {span}; more clips or fewer epochs may help."
    return f"No gain over {start} that these clips can show: {span}."
