"""The model card of a trained folder, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from videomm.render.figures import figure_rows, gain_text

_HOW = {
    "head": "The matrix W of Sim(I, T) = IᵀWT, on frozen embeddings.",
    "temporal": "A temporal Transformer over frozen frame embeddings, and the matrix W of "
    "Sim(I, T) = IᵀWT.",
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
    counts, clips = metrics["counts"], metrics["clips_in"]
    kind = "any number of them a clip" if settings["multi_label"] else "one a clip"
    rows = "\n".join(
        f"| {_cell(label)} | {' | '.join(str(counts[split][label]) for split in counts)} |"
        for label in settings["labels"]
    )
    limits = [f"- {note}" for note in notes]
    if skipped := len(metrics["skipped"]):
        limits.append(f"- {skipped} clips could not be read and were left out.")
    return (
        f"""---
library_name: videomm
pipeline_tag: video-classification
---

# {name}

A video classifier for {len(settings["labels"])} labels ({kind}), made with videomm.

    videomm classify clip.mp4 --model MODEL

where MODEL is this folder, or `hf-hub:OWNER/NAME` if it lies on the Hugging Face hub.

## What it is

{_HOW[settings["train"]["tune"]]} Encoder: `{settings["encoder"]}`, whose terms hold for this
model, too. Trained on {clips["train"]} clips; {clips["val"]} others chose the epoch
({metrics["epoch"]}) and the temperature ({metrics["temperature"]:.2f}).

## How good it is

On {metrics["clips"]} clips of the split `{metrics["measured_on"]}` (in brackets: 95 % intervals,
bootstrap over {metrics["sources"]} sources):

{figures_table(metrics)}

{gain_text(metrics["gain"])}

## Labels

| label | train | val | test |
| --- | ---: | ---: | ---: |
{rows}

## Limits

- It knows these labels alone. Anything else gets the nearest of them, unless `--unknown` is set.
- It was measured on clips from the same collection as it was trained on; others can be harder.
{chr(10).join(limits)}
""".rstrip()
        + "\n"
    )


def figures_table(metrics: dict[str, Any]) -> str:
    """The figures beside their floors, as a Markdown table."""
    lines = ["| figure | this model | zero-shot | majority |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in figure_rows(metrics))])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
