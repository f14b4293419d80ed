"""A run of training as one self-contained HTML page: no script, no other file, no network."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from videomm.render.figures import figure_columns, figure_rows, gain_text
from videomm.render.training_plots import curves_svg, reliability_svg
from videomm.types import clock

_ASSETS = Path(__file__).parent
WIDTH = 960  # of a picture of a video, in units of its SVG
_CONFUSIONS = 40  # labels; a larger matrix is given as its most common confusions
_MOST_PAIRS = 30


@dataclass(frozen=True, repr=False)
class Mistake:
    """A wrong answer and the frame that speaks most for it.

    Attributes:
        clip: the file, with seconds where it is a part.
        labels: the right ones.
        said: the label that was wrongly given, or denied.
        score: of that label, in [0, 1].
        time: of the frame, in seconds.
        picture: a JPEG; empty where there is none.
    """

    clip: str
    labels: tuple[str, ...]
    said: str
    score: float
    time: float
    picture: bytes


def build_report(
    name: str, settings: dict[str, Any], metrics: dict[str, Any], mistakes: Sequence[Mistake]
) -> str:
    """The page: figures beside their floors, curves, confusions, reliability, labels, mistakes.

    Args:
        name: of the model.
        settings: as `settings.json` holds them.
        metrics: as `metrics.json` holds them.
        mistakes: the worst first.
    """
    what = "answers about a label" if metrics["multi_label"] else "clips"
    return fill_report(
        name,
        settings,
        metrics,
        unit="clips",
        how=settings["train"]["tune"],
        floors="Zero-shot: the same encoder and labels, untrained. Majority: every clip gets the "
        "most common label.",
        sections=[
            confusion_section(metrics, "clips"),
            reliability_section(metrics, what),
            labels_section(metrics, "clips measured", "clips trained"),
            section("mistakes", "The worst mistakes", _mistakes(mistakes)),
        ],
    )


def fill_report(
    name: str,
    settings: dict[str, Any],
    metrics: dict[str, Any],
    *,
    unit: str,
    how: str,
    floors: str,
    sections: Sequence[str],
) -> str:
    """A page of figures, curves and how it was made, with sections of its own between.

    Args:
        name: of the model.
        settings: as `settings.json` holds them.
        metrics: as `metrics.json` holds them.
        unit: the word for what is learned from, in the plural.
        how: what was trained, in a word or two.
        floors: what the other columns of the figures are.
        sections: of `section`.
    """
    clips = metrics["clips_in"]
    labels = f"{len(metrics['labels'])} labels; " if metrics["labels"] else ""
    facts = (
        f"{labels}{clips['train']} {unit} to train, {clips['val']} to "
        f"validate, {clips['test']} to test; {how} on {settings['encoder']}"
    )
    style = [(_ASSETS / sheet).read_text() for sheet in ("page.css", "training_report.css")]
    return Template((_ASSETS / "training_report.html").read_text(encoding="utf-8")).substitute(
        title=escape(name),
        style="".join(style),
        facts=escape(facts),
        warnings=_list(metrics["warnings"], "warnings"),
        gain=escape(gain_text(metrics["gain"])),
        figures=_table(["figure", *figure_columns(metrics)], figure_rows(metrics)),
        measured=f"Measured on {metrics['clips']} {unit} of the split {metrics['measured_on']}.",
        floors=escape(floors),
        curves=curves_svg(metrics["history"], metrics["epoch"]),
        sections="\n".join(sections),
        skipped=_skipped(metrics["skipped"], unit),
        made=_made(settings, metrics),
    )


def section(name: str, title: str, inside: str) -> str:
    """A section of the page with its heading; what is inside is HTML."""
    head = f'<h2 id="h-{name}">{escape(title)}</h2>'
    return f'<section aria-labelledby="h-{name}">\n{head}\n{inside}\n</section>'


def reliability_section(metrics: dict[str, Any], what: str) -> str:
    """Whether scores are honest, over so many of `what`."""
    error = metrics["figures"]["calibration_error"]["value"]
    words = (
        f"Calibration error {error:.3f} over {what}. Across: the score; up: the share of right "
        "answers. On the diagonal a score of 0.8 is right in 80 of 100 cases; below it the scores "
        "are too high. Larger dots hold more answers."
    )
    plot = reliability_svg(metrics["reliability"], error)
    inside = f'<p class="legend">{words}</p>\n<div class="plot small">{plot}</div>'
    return section("reliability", "Are its scores honest?", inside)


def _list(items: Sequence[str], name: str) -> str:
    rows = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="{name}">{rows}</ul>' if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> str:
    """A table whose first column heads the rows; every cell is escaped."""
    columns = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    table = f"<table{name and f' class={name!r}'}><thead><tr>{columns}</tr></thead>"
    return f'<div class="scroll">{table}<tbody>{body}</tbody></table></div>'


def confusion_section(metrics: dict[str, Any], unit: str) -> str:
    """Which label was taken for which, in `unit`; empty where there is no confusion matrix."""
    if metrics["confusion"] is None:
        return ""
    labels, counts = metrics["labels"], metrics["confusion"]
    few = len(labels) <= _CONFUSIONS
    inside = _matrix(labels, counts) if few else _pairs(labels, counts, unit)
    return section("confusion", "What is taken for what", inside)


def _matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in labels)
    body = []
    for place, (name, row) in enumerate(zip(labels, counts, strict=True)):
        cells = "".join(
            f'<td class="{"hit" if other == place else "miss"}" '
            f'style="background:rgb(11 92 173 / {0.6 * count / max(sum(row), 1):.2f})">{count}</td>'
            for other, count in enumerate(row)
        )
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        '<div class="scroll"><table class="confusion"><caption>A row a right label, a column an '
        'answer; right ones are outlined</caption><thead><tr><th scope="col">right label</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _pairs(labels: Sequence[str], counts: Sequence[Sequence[int]], unit: str) -> str:
    found = sorted(
        (
            (count, right, said)
            for right, row in enumerate(counts)
            for said, count in enumerate(row)
            if count and right != said
        ),
        reverse=True,
    )
    rows = [[labels[right], labels[said], str(count)] for count, right, said in found[:_MOST_PAIRS]]
    return _table(["right label", "taken for", unit], rows)


def labels_section(metrics: dict[str, Any], measured: str, trained: str) -> str:
    """Figures of each label, with the words for what was measured and what was trained on."""
    rows = [
        [
            row["label"],
            *(f"{row[key]:.2f}" for key in ("precision", "recall", "f1")),
            str(row["support"]),
            str(metrics["counts"]["train"][row["label"]]),
        ]
        for row in metrics["per_class"]
    ]
    table = _table(["label", "precision", "recall", "F1", measured, trained], rows)
    return section("labels", "Labels", table)


def _mistakes(mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return "<p>None on these clips.</p>"
    return f'<ol class="mistakes">{"".join(map(_mistake, mistakes))}</ol>'


def _mistake(item: Mistake) -> str:
    right = ", ".join(item.labels) or "none of the labels"
    denied = item.said in item.labels
    words = f"{'Denied' if denied else 'Said'} {item.said} ({item.score:.2f}), is {right}"
    name = os.path.basename(item.clip)
    picture = base64.b64encode(item.picture).decode()
    image = (
        f'<img src="data:image/jpeg;base64,{picture}" '
        f'alt="{escape(f"Frame of {name} at {clock(item.time)}")}">'
        if picture
        else ""
    )
    return (
        f"<li><figure>{image}<figcaption><span class='name'>{escape(words)}</span><br>"
        f"{escape(item.clip)} at <time>{clock(item.time)}</time></figcaption></figure></li>"
    )


def video_plot(title: str, clip: str, seconds: float, words: str, inside: str, height: int) -> str:
    """A picture of one video over its time.

    Args:
        title: what is to be seen, in a word or two.
        clip: the file.
        seconds: its duration.
        words: the same for people who cannot see it.
        inside: SVG, `WIDTH` wide.
        height: of the picture.
    """
    return (
        f'<figure><div class="plot"><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(words)}">{inside}</svg></div><figcaption>'
        f'<span class="name">{title}</span> {escape(clip)}, {clock(seconds)}</figcaption></figure>'
    )


def _skipped(skipped: Sequence[dict[str, str]], unit: str) -> str:
    if not skipped:
        return ""
    rows = _list([f"{item['kind']}: {item['message']}" for item in skipped], "skipped")
    return section("skipped", f"{len(skipped)} {unit} could not be read", rows)


def _made(settings: dict[str, Any], metrics: dict[str, Any]) -> str:
    rows = [
        ["data", settings["data"]],
        ["encoder", settings["encoder"]],
        *(
            [key, "default" if value is None else str(value)]
            for key, value in settings["train"].items()
        ),
        [
            "sampling",
            ", ".join(f"{k} {v}" for k, v in settings["sampling"].items() if v is not None),
        ],
        ["epoch kept", f"{metrics['epoch']} of {len(metrics['history']) - 1}"],
    ]
    if "image_tower" in metrics:
        tower = metrics["image_tower"]
        kept = f"{tower['epoch']} of {len(tower['history']) - 1}"
        rows.append(["epoch of the image tower kept", kept])
    if "temperature" in metrics:
        rows.append(["temperature", f"{metrics['temperature']:.3f}"])
    return _table(["setting", "value"], rows)
