"""How good a model is on labelled clips."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videomm.encoder import load_encoder
from videomm.errors import InvalidInputError
from videomm.evaluation.figures import Truth, measure
from videomm.hub import ENCODER
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.training.classifier import FILES, SPLIT
from videomm.training.clips import Clip, Skipped, read_clips
from videomm.training.finetune import gather, score
from videomm.training.importance import has_order
from videomm.training.labelled import LabelledData
from videomm.training.rating_data import RatedData
from videomm.training.segment_data import SegmentedData
from videomm.training.segmenter import label_clips, measure_model
from videomm.training.splits import sources_of
from videomm.training.summarizer import measure_ratings, notes_on_ratings, rate_clip
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
    fresh = read_fresh(data, pipeline, folder)
    inside = gather(fresh.clips, labels)
    prior = _prior(Path(folder), model) if folder is not None else None
    figures = measure(
        score(model, inside, labels, data.multi_label),
        Truth(
            np.asarray(inside.targets.numpy() > 0),
            fresh.sources,
            labels,
            data.multi_label,
        ),
        prior=inside.targets.mean(dim=0).double().numpy() if prior is None else prior,
        zero_shot=_zero_shot(pipeline, fresh.clips, labels, data.multi_label, folder)
        if model.labels
        else None,
    )
    return fresh.report(model, data, figures)


def _zero_shot(
    pipeline: VideoPipeline,
    clips: Sequence[Clip],
    labels: Sequence[str],
    multi_label: bool,
    folder: str | os.PathLike[str] | None,
) -> Array | None:
    """What the encoder that training began from says of clips, untrained: float64 (M, L).

    None where the image tower was trained with the model, and nothing here tells from which.
    """
    model = pipeline.model
    encoder, settings = model.encoder, Path(folder or "") / FILES["settings"]
    if Path(encoder.name).name == ENCODER and encoder.name.startswith("local-dir:"):
        if not settings.is_file():
            return None
        begun = json.loads(settings.read_text())["encoder"].rpartition("@")[0]
        start = pipeline.with_model(VideoModel(load_encoder(begun, encoder.device)))
        clips, _ = read_clips(start, [clip.example for clip in clips])
        encoder = start.model.encoder
    start_model = VideoModel(encoder, fusion=model.fusion)
    return score(start_model, gather(clips, labels), labels, multi_label)


def evaluate_segmenter(
    data: SegmentedData, pipeline: VideoPipeline, folder: str | os.PathLike[str]
) -> dict[str, Any]:
    """Measure a model that was trained on segments; as `evaluate_model` takes and leaves videos.

    Args:
        data: of `read_segments`.
        pipeline: with the model.
        folder: of the model, which says what it was trained on.

    Returns:
        What `measure_segments` returns, and `left_out`, `skipped` and `warnings`.

    Raises:
        InvalidInputError: the model does not know a label of the data, or no video is left.
    """
    model = pipeline.model
    _check_labels(data.videos, model)
    fresh = read_fresh(data.videos, pipeline, folder)
    found = label_clips(fresh.clips, data, model.labels)
    if strange := sorted(set(found.names) - set(model.labels)):
        raise InvalidInputError(
            f"time of {data.videos.path!r} is in no segment, and {model.name} was not trained on "
            f"{strange[0]!r}; cover all of the time, or train a model with such data"
        )
    learned = json.loads((Path(folder) / FILES["metrics"]).read_text())
    figures = measure_model(
        model,
        [clip.timeline for clip in fresh.clips],
        found.truths,
        fresh.sources,
        np.array(learned["prior"]),
    )
    return fresh.report(model, data.videos, figures, found.notes)


def evaluate_summarizer(
    data: RatedData, pipeline: VideoPipeline, folder: str | os.PathLike[str]
) -> dict[str, Any]:
    """Measure a model that was trained on ratings; as `evaluate_model` takes and leaves videos.

    Args:
        data: of `read_ratings`.
        pipeline: with the model.
        folder: of the model, which says what it was trained on.

    Returns:
        What `measure_importance` returns, and `left_out`, `skipped` and `warnings`.

    Raises:
        InvalidInputError: no video is left, or people rate none differently in its frames.
    """
    fresh = read_fresh(data.videos, pipeline, folder)
    rated = [rate_clip(clip, data) for clip in fresh.clips]
    places = [place for place, item in enumerate(rated) if has_order(item.mean)]
    if not places:
        raise InvalidInputError(
            f"no video of {data.videos.path!r} has frames that people rate differently"
        )
    figures = measure_ratings(
        pipeline.model, [rated[place] for place in places], fresh.sources[places]
    )
    notes = notes_on_ratings(len(rated) - len(places))
    return fresh.report(pipeline.model, data.videos, figures, notes)


@dataclass(frozen=True, eq=False)
class Fresh:
    """Clips that a model may be measured on.

    Attributes:
        clips: N that it does not know.
        left_out: how many it was trained on.
        skipped: those that could not be read.
        notes: what a reader of the figures should know.
    """

    clips: list[Clip]
    left_out: int
    skipped: list[Skipped]
    notes: list[str]

    @property
    def sources(self) -> Array:
        """What each clip comes from, int (N,)."""
        return sources_of([c.example for c in self.clips], [c.content for c in self.clips])

    def report(
        self,
        model: VideoModel,
        data: LabelledData,
        figures: dict[str, Any],
        notes: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Figures with what they are of."""
        return {
            "model": model.name,
            "data": data.path,
            **figures,
            "left_out": self.left_out,
            "skipped": [asdict(item) for item in self.skipped],
            "warnings": [*data.warnings, *self.notes, *notes],
        }


def read_fresh(
    data: LabelledData, pipeline: VideoPipeline, folder: str | os.PathLike[str] | None
) -> Fresh:
    """The clips of the split `test`, or all where there are no splits, that a model does not know.

    Raises:
        InvalidInputError: none is left.
    """
    examples = data.examples
    if any(example.split for example in examples):
        examples = tuple(example for example in examples if example.split == "test")
        if not examples:
            raise InvalidInputError(f"no clip in {data.path!r} has the split test")
    clips, skipped = read_clips(pipeline, examples)
    known = _learned(Path(folder)) if folder is not None else set()
    fresh = [clip for clip in clips if _part(clip) not in known]
    if not fresh:
        raise InvalidInputError(
            f"all {len(clips)} clips were used to train {pipeline.model.name}; its figures on its "
            "own test clips are in its metrics.json, others need other clips"
        )
    unknown = f"{pipeline.model.name} does not say which clips it was trained on; if some are here "
    notes = [unknown + "they count"] if folder is not None and not known else []
    return Fresh(fresh, len(clips) - len(fresh), skipped, notes)


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
