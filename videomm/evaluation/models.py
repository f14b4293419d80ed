"""How good a model is on labelled clips."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from videomm.errors import InvalidInputError
from videomm.evaluation.figures import Truth, measure
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.training.classifier import SPLIT
from videomm.training.clips import Clip, read_clips
from videomm.training.finetune import gather, score
from videomm.training.labelled import LabelledData
from videomm.training.splits import sources_of
from videomm.types import Array


def evaluate_model(
    data: LabelledData, pipeline: VideoPipeline, folder: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Measure a model on the clips of the split `test`, or on all where the data have no splits.

    Clips that a trained model has learned from, or was calibrated on, are left out.

    Args:
        data: of `read_labelled`.
        pipeline: its model is measured: with its own labels where it was trained on some, with
            those of the data where not.
        folder: of a trained model, which says what it was trained on.

    Returns:
        What `measure` returns, and `left_out` (a number of clips), `skipped` and `warnings`.

    Raises:
        InvalidInputError: the model does not know a label of the data, or no clip is left.
    """
    model = pipeline.model
    labels = _check_labels(data, model)
    examples = data.examples
    if any(example.split for example in examples):
        examples = tuple(example for example in examples if example.split == "test")
        if not examples:
            raise InvalidInputError(f"no clip in {data.path!r} has the split test")
    clips, skipped = read_clips(pipeline, examples)
    known = _learned(Path(folder)) if folder is not None else set()
    notes = list(data.warnings)
    if folder is not None and not known:
        notes.append(
            f"{model.name} does not say which clips it was trained on; if some are here they count"
        )
    fresh = [clip for clip in clips if _part(clip) not in known]
    if not fresh:
        raise InvalidInputError(
            f"all {len(clips)} clips were used to train {model.name}; its figures on its own test "
            "clips are in its metrics.json, others need other clips"
        )
    inside = gather(fresh, labels)
    prior = _prior(Path(folder), model) if folder is not None else None
    figures = measure(
        score(model, inside, labels, data.multi_label),
        Truth(
            np.asarray(inside.targets.numpy() > 0),
            sources_of([c.example for c in fresh], [c.content for c in fresh]),
            labels,
            data.multi_label,
        ),
        prior=inside.targets.mean(dim=0).double().numpy() if prior is None else prior,
        zero_shot=score(VideoModel(model.encoder), inside, labels, data.multi_label)
        if model.labels
        else None,
    )
    return {
        "model": model.name,
        "data": data.path,
        **figures,
        "left_out": len(clips) - len(fresh),
        "skipped": [asdict(item) for item in skipped],
        "warnings": notes,
    }


def _check_labels(data: LabelledData, model: VideoModel) -> tuple[str, ...]:
    if not model.labels:
        return data.labels
    if data.multi_label != model.multi_label:
        kinds = ("one label", "several labels")
        raise InvalidInputError(
            f"{model.name} was trained on clips with {kinds[model.multi_label]} each, the data "
            f"have {kinds[data.multi_label]} (column label or labels)"
        )
    if strange := sorted(set(data.labels) - set(model.labels)):
        raise InvalidInputError(
            f"{model.name} was not trained on the label {strange[0]!r}; leave its clips out, or "
            "train a model with it"
        )
    return model.labels


def _rows(folder: Path) -> list[dict[str, str]]:
    try:
        with (folder / SPLIT).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def _learned(folder: Path) -> set[tuple[str, str, str]]:
    """Content, start and end of the clips that a model learned from or was calibrated on."""
    rows = [row for row in _rows(folder) if row["split"] != "test"]
    return {(row["content"], row["start"], row["end"]) for row in rows}


def _part(clip: Clip) -> tuple[str, str, str]:
    start, end = clip.example.start, clip.example.end
    return clip.content, "" if start is None else str(start), "" if end is None else str(end)


def _prior(folder: Path, model: VideoModel) -> Array | None:
    """How common each label was in training, float64 (L,); None where the folder does not say."""
    texts = [row["labels"] for row in _rows(folder) if row["split"] == "train"]
    if not texts:
        return None
    rows = [text.split(";") if model.multi_label else [text] for text in texts]
    found = Counter(name for names in rows for name in names)
    return np.array([found[name] / len(rows) for name in model.labels])
