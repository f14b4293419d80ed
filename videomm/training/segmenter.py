"""A run of training on labelled segments: a folder with a model that labels frames.

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
from videomm.evaluation.segment_figures import FrameAnswers, SegmentTruth, measure_segments
from videomm.evaluation.segmentation import find_runs
from videomm.models.frame_labels import BACKGROUND, FrameLabelConfig, FrameLabelModel
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.render.segment_report import LabelledTimeline, build_segment_report
from videomm.tasks.classify import follow_labels
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
from videomm.training.finetune import likeliest_temperature
from videomm.training.frame_labels import (
    FrameLabelTrainer,
    FrameLabelTraining,
    LabelledFrames,
    label_loss,
    label_weights,
    pad_videos,
)
from videomm.training.labelled import SPLITS, Example
from videomm.training.segment_data import FrameTruth, SegmentedData, find_truth
from videomm.types import Array, Timeline

RATE = 2e-3  # of the optimizer, at lr 1
BALANCE = 0.5  # a label with four times the frames weighs twice as much in all
WORST = 6  # videos that the report shows


@dataclass(frozen=True, eq=False)
class Labelled:
    """Videos that could be read, with the labels of their frames.

    Attributes:
        names: L labels; `BACKGROUND` is among them where time is uncovered.
        truths: int64 (N,) a video, in the order of the clips.
        notes: what a reader of the figures should know.
    """

    names: tuple[str, ...]
    truths: list[Array]
    notes: list[str]


def train_segmenter(
    data: SegmentedData,
    out: str | os.PathLike[str],
    pipeline: VideoPipeline,
    config: FrameTrainConfig | None = None,
    *,
    resume: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Train a model of frame labels on videos with segments, and write it to a folder.

    Time that no segment covers has the label `BACKGROUND`. Whole videos are split, never parts.

    Args:
        data: of `read_segments`.
        out: the folder: model, labels, split, figures, card and report.
        pipeline: embeds the videos; its model's encoder is what is built on.
        config: settings; None takes the defaults.
        resume: go on with a run that was stopped, or begin where there is none.
        force: replace an earlier run.

    Returns:
        What `metrics.json` holds: the figures of `measure_segments` for the test videos (the
        validation videos where there are none), and what `train_classifier` adds.

    Raises:
        InvalidInputError: the folder may not be written, a resumed run does not fit its folder,
            or the data cannot be split.
    """
    folder, config = Path(out), config or FrameTrainConfig()
    settings = {
        **settings_of(data.videos, pipeline, config),
        "task": "segments",
        "segments": hashlib.sha256(repr(data.segments).encode()).hexdigest(),
    }
    if done := begin_run(folder, settings, pipeline, resume=resume, force=force):
        return done
    prepared = prepare(data.videos, pipeline, config.seed)
    keep_sides(folder, prepared)
    labelled = label_clips(prepared.clips, data, data.videos.labels)
    model, metrics = _fit_and_measure(prepared, labelled, pipeline, config, folder / CHECKPOINT)
    metrics["warnings"] = [*data.videos.warnings, *prepared.notes, *labelled.notes]
    model.name = folder.resolve().name
    settings = settings | {"labels": list(labelled.names)}
    worst = worst_videos(model, prepared, labelled, metrics)
    report = build_segment_report(model.name, settings, metrics, worst)
    end_run(folder, model, settings, metrics, report, prepared.notes)
    return metrics


def label_clips(clips: Sequence[Clip], data: SegmentedData, names: Sequence[str]) -> Labelled:
    """The labels of the videos' frames; `BACKGROUND` becomes the last label where it is missing.

    Raises:
        InvalidInputError: all frames have one and the same label.
    """
    found = [
        find_truth(clip.timeline.bounds, data.segments[clip.example.path], names) for clip in clips
    ]
    out = tuple(names)
    uncovered = [truth.labels == len(names) for truth in found]
    if any(part.any() for part in uncovered):
        out = out if BACKGROUND in out else (*out, BACKGROUND)
        for truth, part in zip(found, uncovered, strict=True):
            truth.labels[part] = out.index(BACKGROUND)
    if len(out) < 2:
        raise InvalidInputError(
            f"every frame has the label {out[0]!r}; add segments of another, or leave the time "
            "without it uncovered"
        )
    return Labelled(out, [truth.labels for truth in found], _notes(clips, found, uncovered))


def _notes(
    clips: Sequence[Clip], found: Sequence[FrameTruth], uncovered: Sequence[Array]
) -> list[str]:
    notes = []
    share = float(np.concatenate(uncovered).mean())
    if share:
        notes.append(f"{share:.0%} of the frames are in no segment and count as {BACKGROUND}")
    for key, words in (
        ("late", "begin after their video's end and are left out: correct their seconds"),
        (
            "lost",
            "are too short for a frame of their own and teach nothing: give a higher --fps",
        ),
    ):
        segments: list[Example] = [item for truth in found for item in getattr(truth, key)]
        if segments:
            notes.append(f"{len(segments)} segments, the first {segments[0].part}, {words}")
    thinned = sum(_is_thinned(clip.timeline) for clip in clips)
    if thinned:
        notes.append(
            f"{thinned} videos have more frames than --max-frames and were looked at less often "
            "than the others"
        )
    return notes


def _is_thinned(timeline: Timeline) -> bool:
    most, fps = timeline.plan.get("max_frames"), timeline.plan.get("fps")
    return bool(most and fps and timeline.duration * fps > most + 1)


def _fit_and_measure(
    prepared: Prepared,
    labelled: Labelled,
    pipeline: VideoPipeline,
    config: FrameTrainConfig,
    checkpoint: Path,
) -> tuple[VideoModel, dict[str, Any]]:
    """A trained and calibrated model, and its figures."""
    places = {split: prepared.of(split) for split in SPLITS}
    videos = [
        LabelledFrames(clip.timeline.embeddings, clip.timeline.times, truth)
        for clip, truth in zip(prepared.clips, labelled.truths, strict=True)
    ]
    train, val = ([videos[place] for place in places[split]] for split in ("train", "val"))
    encoder = pipeline.model.encoder
    frames, history = fit_segments(
        train, val, len(labelled.names), config, checkpoint, progress=pipeline.progress
    )
    temperature = calibrate_frames(frames, val)
    model = VideoModel(
        encoder,
        TemporalConfig(dim=encoder.dim, num_layers=0),
        labels=labelled.names,
        frame_labels=frames,
    )
    counts = np.bincount(np.concatenate([v.labels for v in train]), minlength=len(labelled.names))
    rows = places[measured_split(places)]
    figures = measure_model(
        model,
        [prepared.clips[place].timeline for place in rows],
        [labelled.truths[place] for place in rows],
        prepared.sources[rows],
        counts / counts.sum(),
    )
    return model, {
        **run_facts(prepared, places, history),
        **figures,
        "prior": (counts / counts.sum()).tolist(),
        "counts": {split: _counts(labelled, places[split]) for split in SPLITS},
        "temperature": temperature,
    }


def _counts(labelled: Labelled, places: Sequence[int]) -> dict[str, int]:
    """In how many videos each label is."""
    return {
        name: sum(bool((labelled.truths[place] == label).any()) for place in places)
        for label, name in enumerate(labelled.names)
    }


def fit_segments(
    train: Sequence[LabelledFrames],
    val: Sequence[LabelledFrames],
    num_labels: int,
    config: FrameTrainConfig,
    checkpoint: Path,
    *,
    progress: bool = False,
) -> tuple[FrameLabelModel, list[dict[str, float]]]:
    """The model that labels the validation videos best, and the history of `fit_stopping`."""
    epochs, steps = plan_epochs(len(train), config)
    training = FrameLabelTraining(
        steps=epochs * steps,
        batch_size=config.batch_size,
        lr=RATE * config.lr,
        balance=BALANCE,
        seed=config.seed,
    )
    shape = FrameLabelConfig(dim=train[0].features.shape[1], num_labels=num_labels)
    with torch.random.fork_rng(devices=[]):
        trainer = FrameLabelTrainer(train, shape, training)
    weights = label_weights(train, num_labels, BALANCE)

    @torch.inference_mode()
    def val_loss(model: FrameLabelModel) -> float:
        losses, frames = 0.0, 0.0
        for video in val:
            features, times, labels = pad_videos([video])
            weight = float(weights[labels].sum())
            if weight:
                losses += weight * float(label_loss(model(features, times), labels, weights))
                frames += weight
        return losses / max(frames, 1e-9)

    history = fit_stopping(trainer, val_loss, epochs, checkpoint, progress=progress)
    return trainer.average.eval(), history


@torch.inference_mode()
def calibrate_frames(model: FrameLabelModel, videos: Sequence[LabelledFrames]) -> float:
    """Divide a model's logits by the temperature that makes these videos' labels most likely.

    Neighbouring frames are not independent: as many answers count as there are runs of a label.

    Args:
        model: changed in place.
        videos: that it was not trained on.

    Returns:
        The temperature; see `likeliest_temperature`.
    """
    logits, labels = [], []
    for video in videos:
        features, times, right = pad_videos([video])
        logits.append(model(features, times)[0].double())
        labels.append(right[0])
    targets = torch.nn.functional.one_hot(torch.cat(labels), model.config.num_labels).double()
    runs = sum(len(find_runs(video.labels)) for video in videos)
    temperature = likeliest_temperature(torch.cat(logits), targets, False, runs)
    model.cool(temperature)
    return temperature


def measure_model(
    model: VideoModel,
    timelines: Sequence[Timeline],
    truths: Sequence[Array],
    sources: Array,
    prior: Array,
) -> dict[str, Any]:
    """The figures of `measure_segments` for a model, beside its encoder's own zero-shot labels."""
    scores = [model.label_frames(timeline) for timeline in timelines]
    untrained = VideoModel(model.encoder)
    paths = [follow_labels(timeline, model.labels, untrained) for timeline in timelines]
    background = model.labels.index(BACKGROUND) if BACKGROUND in model.labels else None
    return measure_segments(
        FrameAnswers([values.argmax(axis=1) for values in scores], scores),
        SegmentTruth(truths, sources, model.labels, background),
        prior=prior,
        zero_shot=FrameAnswers([path for path, _ in paths], [values for _, values in paths]),
    )


def worst_videos(
    model: VideoModel, prepared: Prepared, labelled: Labelled, metrics: dict[str, Any]
) -> list[LabelledTimeline]:
    """The measured videos with the fewest right frames, worst first."""
    places = prepared.of(metrics["measured_on"])
    order = np.argsort([row["accuracy"] for row in metrics["videos"]], kind="stable")[:WORST]
    return [
        LabelledTimeline(
            clip=prepared.clips[place].example.part,
            accuracy=metrics["videos"][row]["accuracy"],
            bounds=prepared.clips[place].timeline.bounds,
            right=labelled.truths[place],
            said=model.label_frames(prepared.clips[place].timeline).argmax(axis=1),
        )
        for row, place in ((row, places[row]) for row in order.tolist())
    ]
