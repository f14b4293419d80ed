"""The model card of a trained folder, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from videomm.render.figures import figure_columns, figure_rows, gain_text

_HOW = {
    "head": "The matrix W of Sim(I, T) = IᵀWT, on frozen embeddings.",
    "temporal": "A temporal Transformer over frozen frame embeddings, and the matrix W of "
    "Sim(I, T) = IᵀWT.",
    "all": "An image tower that was trained from pixels, a temporal Transformer over its frame "
    "embeddings, and the matrix W of Sim(I, T) = IᵀWT.",
    "segments": "A network over frozen frame embeddings: dilated convolutions, attention over "
    "time, and stages that refine the labels.",
    "importance": "A temporal Transformer over frozen frame embeddings, and a head that moves the "
    "importance that frames have untrained.",
}


def build_card(
    name: str, settings: dict[str, Any], metrics: dict[str, Any], notes: Sequence[str]
) -> str:
    """The card, which is made to be shared: it names none of the user's files.

    Args:
        name: of the model.
        settings: as `settings.json` holds them.
        metrics: as `metrics.json` holds them.
        notes: what a reader of the figures should know.
    """
    clips, task = metrics["clips_in"], settings.get("task", "clips")
    unit = "clips" if task == "clips" else "videos"
    how = _HOW[settings["train"]["tune"] if task == "clips" else task]
    use = "summarize" if task == "importance" else "classify"
    tempered = ""
    if "temperature" in metrics:
        tempered = f" and the temperature ({metrics['temperature']:.2f})"
    limits = [f"- {note}" for note in notes]
    if skipped := len(metrics["skipped"]):
        were = "was" if skipped == 1 else "were"
        limits.append(f"- {skipped} of the {unit} could not be read and {were} left out.")
    return (
        f"""---
library_name: videomm
pipeline_tag: video-classification
---

# {name}

{_what(settings, task)}, made with videomm.

    videomm {use} clip.mp4 --model MODEL

where MODEL is this folder, or `hf-hub:OWNER/NAME` if it lies on the Hugging Face hub.

## What it is

{how} Encoder: `{settings["encoder"]}`, whose terms hold for this
model, too. Trained on {clips["train"]} {unit}; {clips["val"]} others chose the epoch
({metrics["epoch"]}){tempered}.

## How good it is

On {metrics["clips"]} {unit} of the split `{metrics["measured_on"]}` (in brackets: 95 % intervals,
bootstrap over {metrics["sources"]} sources):

{figures_table(metrics)}

{gain_text(metrics["gain"])}
{_labels(settings, metrics)}
## Limits

{_limit(task)}
- It was measured on {unit} from the same collection as it was trained on; others can be harder.
{chr(10).join(limits)}
""".rstrip()
        + "\n"
    )


def _what(settings: dict[str, Any], task: str) -> str:
    if task == "importance":
        return "A model of what people find important in videos"
    kind = "any number of them a clip" if settings["multi_label"] else "one a clip"
    if task == "segments":
        kind = "one at a time, with when each holds"
    return f"A video classifier for {len(settings['labels'])} labels ({kind})"


def _labels(settings: dict[str, Any], metrics: dict[str, Any]) -> str:
    """In how many clips of each split a label is; empty where there are no labels."""
    if not settings["labels"]:
        return ""
    counts = metrics["counts"]
    rows = [
        f"| {_cell(label)} | {' | '.join(str(counts[split][label]) for split in counts)} |"
        for label in settings["labels"]
    ]
    head = "| label | train | val | test |\n| --- | ---: | ---: | ---: |"
    return "\n".join(["\n## Labels\n", head, *rows, ""])


def _limit(task: str) -> str:
    if task == "importance":
        return "- People differ: see what their own mean reaches above."
    return (
        "- It knows these labels alone. Anything else gets the nearest of them, unless `--unknown` "
        "is set."
    )


def figures_table(metrics: dict[str, Any]) -> str:
    """The figures beside their floors, as a Markdown table."""
    head = ["figure", *figure_columns(metrics)]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in figure_rows(metrics))])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
