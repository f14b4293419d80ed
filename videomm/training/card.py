"""The model card of a trained folder, in Markdown."""

from __future__ import annotations

from typing import Any

from videomm.render.figures import figure_rows, gain_text

_HOW = {
    "head": "The matrix W of Sim(I, T) = IᵀWT, on frozen embeddings.",
    "temporal": "A temporal Transformer over frozen frame embeddings, and the matrix W of "
    "Sim(I, T) = IᵀWT.",
    "segments": "A network over frozen frame embeddings: dilated convolutions, attention over "
    "time, and stages that refine the labels.",
}


def build_card(name: str, settings: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The card.

    Args:
        name: of the model.
        settings: as `settings.json` holds them.
        metrics: as `metrics.json` holds them.
    """
    counts, clips = metrics["counts"], metrics["clips_in"]
    if settings.get("task") == "segments":
        unit, kind, how = "videos", "one at a time, with when each holds", _HOW["segments"]
    else:
        unit, how = "clips", _HOW[settings["train"]["tune"]]
        kind = "any number of them a clip" if settings["multi_label"] else "one a clip"
    rows = "\n".join(
        f"| {_cell(label)} | {' | '.join(str(counts[split][label]) for split in counts)} |"
        for label in settings["labels"]
    )
    notes = "\n".join(f"- {note}" for note in metrics["warnings"])
    skipped = "\n".join(f"- {_cell(item['message'])}" for item in metrics["skipped"])
    if skipped:
        skipped = f"\n## {unit.capitalize()} that could not be read\n\n{skipped}"
    return (
        f"""# {name}

A video classifier for {len(settings["labels"])} labels ({kind}), made with videomm.

    videomm classify clip.mp4 --model THIS_FOLDER

## What it is

{how} Encoder: `{settings["encoder"]}`, whose terms hold for this
model, too. Trained on {clips["train"]} {unit}; {clips["val"]} others chose the epoch
({metrics["epoch"]}) and the temperature ({metrics["temperature"]:.2f}).

## How good it is

On {metrics["clips"]} {unit} of the split `{metrics["measured_on"]}` (in brackets: 95 % intervals,
bootstrap over {metrics["sources"]} sources):

{figures_table(metrics)}

{gain_text(metrics["gain"])}

## Labels

| label | train | val | test |
| --- | ---: | ---: | ---: |
{rows}

## Limits

- It knows these labels alone. Anything else gets the nearest of them, unless `--unknown` is set.
- It was measured on {unit} from the same collection as it was trained on; others can be harder.
{notes}
{skipped}
""".rstrip()
        + "\n"
    )


def figures_table(metrics: dict[str, Any]) -> str:
    """The figures beside their floors, as a Markdown table."""
    lines = ["| figure | this model | zero-shot | majority |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in figure_rows(metrics))])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
