"""The model card of an encoder pre-trained on a user's own pairs, in Markdown."""

from __future__ import annotations

from typing import Any

FIGURES = ("i2t@1", "i2t@5", "i2t@10", "t2i@1", "t2i@5", "t2i@10")
NAMES = {"i2t": "image to text", "t2i": "text to image"}


def figure_name(key: str) -> str:
    """`i2t@5` in words."""
    way, at = key.split("@")
    return f"{NAMES[way]}, R@{at}"


def compare(metrics: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows of a table: the figure, this model, its start, and the gain, in percent."""
    start = metrics["start"] or {}
    rows = []
    for key in FIGURES:
        now, before = metrics["figures"][key], start.get(key)
        beside = ("", "") if before is None else (f"{before:.1f}", f"{now - before:+.1f}")
        rows.append((figure_name(key), f"{now:.1f}", *beside))
    return rows


def build_card(name: str, settings: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The card.

    Args:
        name: of the model.
        settings: as `pretrain.json` holds them.
        metrics: as `metrics.json` holds them.
    """
    counts, sizes = metrics["counts"], metrics["parameters"]
    table = "\n".join(f"| {' | '.join(row)} |" for row in compare(metrics))
    image, text = settings["image"], settings["text"]
    text_start = "its own" if text["start"] == "encoder" else f"`{text['start']}`"
    text_weights = image["weights"] if text["start"] == "encoder" else text["weights"]
    train = "\n".join(f"- {key}: {value}" for key, value in settings["train"].items())
    notes = "\n".join(f"- {note}" for note in metrics["warnings"])
    skipped = "\n".join(f"- {item['message']}" for item in metrics["skipped"])
    unread = f"\n## Pictures that could not be read\n\n{skipped}\n" if skipped else ""
    return (
        f"""# {name}

An encoder of images and texts, pre-trained on pairs with videomm.

    videomm classify clip.mp4 --model THIS_FOLDER --labels "a cat,a dog"

## What it is

Image tower from `{image["start"]}` ({image["weights"]} weights{_frozen(image)}),
{sizes["image"]:,} parameters. Text tower: {text_start} ({text_weights} weights{_frozen(text)}),
{sizes["text"]:,} parameters. The terms of what it started from hold for this model, too. Where the
folder has a `text/`, plain open_clip needs its absolute path as `hf_model_name`; videomm finds it.

## Data

`{settings["data"]}`: {counts["train"]} pictures with {counts["texts"]} texts to learn from,
{counts["val"]} with {counts["val_texts"]} to measure on.

## How good it is

Retrieval among the validation pictures, in percent. The start is what training began with, with
its own text tower{"" if metrics["start"] else "; here it had no trained weights"}.

| figure | this model | start | gain |
| --- | ---: | ---: | ---: |
{table}

## Settings

- seed: {settings["seed"]}
{train}

## Limits

- It was measured on pictures from the same collection as it was trained on; others can be harder.
- What the start knew and the pairs do not show may be forgotten.
{notes}
{unread}""".rstrip()
        + "\n"
    )


def _frozen(table: dict[str, Any]) -> str:
    return ", frozen" if table["frozen"] else ""
