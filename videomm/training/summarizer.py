"""A run of training on people's ratings: a folder with a model that knows what matters to them.

The folder, its files and its resumption are those of `videomm.training.classifier`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videomm.config import FrameTrainConfig
from videomm.errors import InvalidInputError
from videomm.evaluation.importance_figures import measure_importance
from videomm.models.importance import ImportanceModel
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.render.importance_report import RatedTimeline, build_importance_report
from videomm.tasks.scenes import find_scenes
from videomm.tasks.summarize import untrained_importance
from videomm.training.classifier import (
    CHECKPOINT,
    Prepared,
    begin_run,
    end_run,
    keep_sides,
    measured_split,
    prepare,
    run_facts,
    settings_of,
)
from videomm.training.clips import Clip
from videomm.training.early_stopping import fit_stopping, plan_epochs
from videomm.training.importance import (
    ImportanceTrainer,
    RatedFrames,
    disagreement,
    has_order,
    rate,
)
from videomm.training.labelled import SPLITS
from videomm.training.rating_data import RatedData
from videomm.types import Array

RATE = 2e-4  # of the temporal Transformer, at lr 1
WORST = 6  # videos that the report shows


@dataclass(frozen=True, eq=False)
class RatedClip:
    """A video that could be read, with what people say of its frames.

    Attributes:
        clip: the video.
        people: float64 (P, N), NaN where a person says nothing.
        start: float64 (N,), untrained importance.
    """

    clip: Clip
    people: Array
    start: Array

    @property
    def mean(self) -> Array:
        """What people say on average, of the frames that all rate; NaN elsewhere."""
        return np.asarray(self.people.mean(axis=0))

    @property
    def frames(self) -> RatedFrames:
        """To learn from."""
        timeline = self.clip.timeline
        return RatedFrames(timeline.embeddings, timeline.times, self.start, self.mean)


def train_summarizer(
    data: RatedData,
    out: str | os.PathLike[str],
    pipeline: VideoPipeline,
    config: FrameTrainConfig | None = None,
    *,
    resume: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Train a model of importance on rated videos, and write it to a folder.

    It begins at the importance that `summarize` has untrained, and is measured against that.

    Args:
        data: of `read_ratings`.
        out: the folder: model, split, figures, card and report.
        pipeline: embeds the videos; its model's encoder is what is built on.
        config: settings; None takes the defaults.
        resume: go on with a run that was stopped, or begin where there is none.
        force: replace an earlier run.

    Returns:
        What `metrics.json` holds: the figures of `measure_importance` for the test videos (the
        validation videos where there are none), and what `train_classifier` adds.

    Raises:
        InvalidInputError: the folder may not be written, a resumed run does not fit its folder,
            or the data cannot be split.
    """
    folder, config = Path(out), config or FrameTrainConfig()
    settings = {
        **settings_of(data.videos, pipeline, config),
        "task": "importance",
        "ratings": hashlib.sha256(repr(data.ratings).encode()).hexdigest(),
    }
    if done := begin_run(folder, settings, pipeline, resume=resume, force=force):
        return done
    prepared = prepare(data.videos, pipeline, config.seed)
    keep_sides(folder, prepared)
    rated = [rate_clip(clip, data) for clip in prepared.clips]
    usable = [place for place, item in enumerate(rated) if has_order(item.mean)]
    notes = notes_on_ratings(len(rated) - len(usable))
    places = {split: sorted({*prepared.of(split)} & {*usable}) for split in SPLITS}
    if not places["train"] or not places["val"]:
        raise InvalidInputError(
            "no video in train or none in val has frames that people rate differently; add some"
        )
    model, metrics = _fit_and_measure(
        prepared, rated, places, pipeline, config, folder / CHECKPOINT
    )
    metrics["warnings"] = [*data.videos.warnings, *prepared.notes, *notes]
    model.name = folder.resolve().name
    worst = _worst(model, [rated[place] for place in places[metrics["measured_on"]]], metrics)
    report = build_importance_report(model.name, settings, metrics, worst)
    end_run(folder, model, settings, metrics, report, [*prepared.notes, *notes])
    return metrics


def rate_clip(clip: Clip, data: RatedData) -> RatedClip:
    """A video with what people say of its frames."""
    timeline = clip.timeline
    ratings = data.ratings[clip.example.path]
    people = np.stack([rating.at(timeline.times, timeline.duration) for rating in ratings])
    return RatedClip(clip, people, untrained_importance(timeline, find_scenes(timeline)))


def notes_on_ratings(alike: int) -> list[str]:
    """What to say where so many videos have no order in what people say of them."""
    if not alike:
        return []
    return [f"{alike} videos are rated alike in all frames, or not by all people, and are left out"]


def _fit_and_measure(
    prepared: Prepared,
    rated: Sequence[RatedClip],
    places: dict[str, list[int]],
    pipeline: VideoPipeline,
    config: FrameTrainConfig,
    checkpoint: Path,
) -> tuple[VideoModel, dict[str, Any]]:
    train, val = ([rated[p].frames for p in places[split]] for split in ("train", "val"))
    encoder = pipeline.model.encoder
    importance, history = fit_importance(
        train, val, encoder.dim, config, checkpoint, progress=pipeline.progress
    )
    base = TemporalConfig(dim=encoder.dim, num_layers=0)
    model = VideoModel(encoder, base, importance=importance)
    rows = places[measured_split(places)]
    return model, {
        **run_facts(prepared, places, history),
        **measure_ratings(model, [rated[p] for p in rows], prepared.sources[rows]),
        "labels": [],
        "multi_label": False,
        "counts": {split: {} for split in SPLITS},
    }


def fit_importance(
    train: Sequence[RatedFrames],
    val: Sequence[RatedFrames],
    dim: int,
    config: FrameTrainConfig,
    checkpoint: Path,
    *,
    progress: bool = False,
) -> tuple[ImportanceModel, list[dict[str, float]]]:
    """The model that follows people best on the validation videos, and its history."""
    epochs, steps = plan_epochs(len(train), config)
    with torch.random.fork_rng(devices=[]):
        trainer = ImportanceTrainer(
            train,
            TemporalConfig(dim=dim),
            steps=epochs * steps,
            batch_size=config.batch_size,
            lr=RATE * config.lr,
            seed=config.seed,
        )

    @torch.inference_mode()
    def val_loss(model: ImportanceModel) -> float:
        return float(np.mean([float(disagreement(*rate(model, [video]))) for video in val]))

    history = fit_stopping(trainer, val_loss, epochs, checkpoint, progress=progress)
    return trainer.average.eval(), history


def measure_ratings(
    model: VideoModel, videos: Sequence[RatedClip], sources: Array
) -> dict[str, Any]:
    """The figures of `measure_importance` for a model."""
    return measure_importance(
        [model.rate_frames(video.clip.timeline, video.start) for video in videos],
        [video.start for video in videos],
        [video.people for video in videos],
        sources,
    )


def _worst(
    model: VideoModel, videos: Sequence[RatedClip], metrics: dict[str, Any]
) -> list[RatedTimeline]:
    """The measured videos whose order is furthest from people's, worst first."""
    taus = [row["kendall_tau"] for row in metrics["videos"]]
    return [
        RatedTimeline(
            clip=videos[row].clip.example.path,
            tau=taus[row],
            times=videos[row].clip.timeline.times,
            said=model.rate_frames(videos[row].clip.timeline, videos[row].start),
            people=videos[row].mean,
        )
        for row in np.argsort(taus, kind="stable")[:WORST].tolist()
    ]
