"""A run of training: labelled clips in, a folder with a model and its figures out.

The folder is the run's state as well. A run that was killed and is resumed ends with the same
files as one that was not; `config.json`, which makes it a model, comes last.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from videomm.config import Config, TrainConfig
from videomm.errors import InvalidInputError
from videomm.evaluation.figures import Truth, measure
from videomm.hub import ENCODER, write_model
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.render.folder import check_replaceable
from videomm.render.training_report import build_report
from videomm.training.card import build_card
from videomm.training.clips import Clip, Skipped, read_clips
from videomm.training.early_stopping import best_epoch
from videomm.training.finetune import calibrate, fit, gather, score, start_model
from videomm.training.labelled import SPLITS, LabelledData
from videomm.training.mistakes import worst_mistakes
from videomm.training.pixels import gather_pictures, tune_image_tower
from videomm.training.run_folder import check_same, keep_split, to_json, write_text
from videomm.training.splits import sources_of, split_clips
from videomm.types import Array

CONFIG, SETTINGS, SPLIT, CHECKPOINT = "config.json", "settings.json", "split.csv", "checkpoint.pt"
IMAGE_CHECKPOINT = "image_tower.pt"
FILES = {
    "card": "README.md",
    "labels": "labels.txt",
    "metrics": "metrics.json",
    "report": "report.html",
    "split": SPLIT,
    "settings": SETTINGS,
    "weights": "model.safetensors",
    "config": CONFIG,
}
PICTURES_KEPT = 16  # of a clip, to train the image tower on
_SPLIT_COLUMNS = ("clip", "labels", "split", "source", "content", "path", "start", "end")


@dataclass(frozen=True, eq=False)
class Prepared:
    """Clips that could be read, and on which side each is.

    Attributes:
        clips: N.
        splits: N of `train`, `val` and `test`.
        sources: int (N,), what each comes from.
        skipped: those that could not be read.
        notes: what a reader of the figures should know.
    """

    clips: list[Clip]
    splits: list[str]
    sources: Array
    skipped: list[Skipped]
    notes: list[str]

    def of(self, split: str) -> list[int]:
        """Places of the clips of a split."""
        return [place for place, name in enumerate(self.splits) if name == split]


def train_classifier(
    data: LabelledData,
    out: str | os.PathLike[str],
    pipeline: VideoPipeline,
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Train a model on labelled clips and write it to a folder.

    Args:
        data: of `read_labelled`.
        out: the folder: model, labels, split, figures, card and report.
        pipeline: embeds the clips; its model's encoder is what is built on.
        config: the temporal Transformer and the head unless told otherwise.
        resume: go on with a run that was stopped, or begin where there is none.
        force: replace an earlier run.

    Returns:
        What `metrics.json` holds: the figures of `measure` for the test clips (the validation
        clips where there are none), `history`, `counts`, `skipped`, `warnings` and more.

    Raises:
        InvalidInputError: the folder may not be written, a resumed run does not fit its folder,
            or the data cannot be split.
    """
    folder, config = Path(out), config or TrainConfig()
    if config.fusion != "none" and (pipeline.speech is None or not pipeline.speech.wanted):
        raise InvalidInputError(
            f"fusion {config.fusion!r} needs speech, and none is asked for; give subtitles "
            "(auto or a file), or have it transcribed"
        )
    settings = settings_of(data, pipeline, config)
    if done := begin_run(folder, settings, pipeline, resume=resume, force=force):
        return done
    pictures = PICTURES_KEPT if config.tune == "all" else 0
    prepared = prepare(data, pipeline, config.seed, pictures)
    if pipeline.speech is not None:
        said = sum(clip.timeline.speech is not None for clip in prepared.clips)
        prepared.notes.append(f"something is said in {said} of {len(prepared.clips)} clips")
    keep_sides(folder, prepared)
    model = start_model(pipeline.model, data.labels, data.multi_label, config)
    zero_shot = _scores(model, prepared)
    history: list[dict[str, float]] = []
    if config.tune == "all":
        pipeline, prepared, history = _train_images(folder, pipeline, prepared, model, config)
        model = start_model(pipeline.model, data.labels, data.multi_label, config)
    metrics = _fit_and_measure(
        model, prepared, zero_shot, config, folder / CHECKPOINT, progress=pipeline.progress
    )
    if history:
        metrics["image_tower"] = {"epoch": best_epoch(history), "history": history}
    metrics["warnings"] = [*data.warnings, *metrics["warnings"]]
    model.name = folder.resolve().name
    shown = [prepared.clips[place] for place in prepared.of(metrics["measured_on"])]
    mistakes = worst_mistakes(model, pipeline, shown)
    report = build_report(model.name, settings, metrics, mistakes)
    end_run(folder, model, settings, metrics, report, prepared.notes)
    return metrics


def begin_run(
    folder: Path, settings: dict[str, Any], pipeline: VideoPipeline, *, resume: bool, force: bool
) -> dict[str, Any] | None:
    """Make a run's folder ready.

    Returns:
        What `metrics.json` holds where the run is done already; None where it is to be done.

    Raises:
        InvalidInputError: the folder may not be written, the run in it had other settings, or the
            pipeline's model is a trained one.
    """
    if pipeline.model.labels or pipeline.model.importance is not None:
        raise InvalidInputError(
            f"{pipeline.model.name} was trained already; training begins with an "
            f"encoder, such as {pipeline.model.encoder.name}"
        )
    check_out(folder, resume=resume, force=force)
    if resume and (folder / SETTINGS).exists():
        check_same(json.loads((folder / SETTINGS).read_text()), settings, folder)
        if (folder / CONFIG).exists() and not (folder / CHECKPOINT).exists():
            done: dict[str, Any] = json.loads((folder / FILES["metrics"]).read_text())
            return done
    else:
        _clear(folder)
        write_text(folder / SETTINGS, to_json(settings))
    return None


def end_run(
    folder: Path,
    model: VideoModel,
    settings: dict[str, Any],
    metrics: dict[str, Any],
    report: str,
    notes: Sequence[str],
) -> None:
    """Write a run's results, the model last; the notes, which name no file, go into the card."""
    write_text(folder / FILES["labels"], "".join(f"{name}\n" for name in model.labels))
    write_text(folder / FILES["metrics"], to_json(metrics))
    write_text(folder / FILES["card"], build_card(model.name, settings, metrics, notes))
    write_text(folder / FILES["report"], report)
    write_model(model, folder)
    # A run without its checkpoint is done.
    (folder / IMAGE_CHECKPOINT).unlink(missing_ok=True)
    (folder / CHECKPOINT).unlink()


def check_out(folder: Path, *, resume: bool, force: bool) -> None:
    """See that a run may write to a folder; see `check_replaceable`.

    Raises:
        InvalidInputError: it may not.
    """
    ours = {*FILES.values(), CHECKPOINT, IMAGE_CHECKPOINT, ENCODER}
    names = {*ours, *(f"{name}.part" for name in ours)}
    words = ("an earlier run, --resume to go on with it", "no run's", "runs of training")
    if resume and force:
        raise InvalidInputError("give resume or force, not both")
    begun = any((folder / name).is_file() for name in (SETTINGS, f"{SETTINGS}.part"))
    check_replaceable(folder, lambda name: name in names, words, force=force or (resume and begun))


def prepare(data: LabelledData, pipeline: VideoPipeline, seed: int, pictures: int = 0) -> Prepared:
    """Read the clips, and split those that can be read; see `read_clips` for pictures."""
    clips, skipped = read_clips(pipeline, data.examples, pictures)
    examples = [clip.example for clip in clips]
    lost = sorted(set(data.labels) - {name for example in examples for name in example.labels})
    if lost:
        raise InvalidInputError(
            f"no clip of {lost[0]!r} can be read; repair one or leave that label out"
        )
    sources = sources_of(examples, [clip.content for clip in clips])
    splits, notes = split_clips(examples, sources, seed)
    said: dict[tuple[object, ...], set[tuple[str, ...]]] = {}
    for clip in clips:
        where = (clip.content, clip.example.start, clip.example.end)
        said.setdefault(where, set()).add(clip.example.labels)
    if torn := sum(len(labels) > 1 for labels in said.values()):
        notes.append(f"{torn} clips are there as copies with other labels: one of them is wrong")
    damaged = sum(not clip.timeline.complete for clip in clips)
    if damaged:
        notes.append(f"{damaged} clips are damaged and were used as far as they decode")
    return Prepared(clips, splits, sources, skipped, notes)


def _train_images(
    folder: Path,
    pipeline: VideoPipeline,
    prepared: Prepared,
    model: VideoModel,
    config: TrainConfig,
) -> tuple[VideoPipeline, Prepared, list[dict[str, float]]]:
    """Train the image tower, and embed the clips with it; see `tune_image_tower`.

    Returns:
        The pipeline and the clips of the encoder that came of it, and the history.
    """
    train, val = (
        gather_pictures([prepared.clips[place] for place in prepared.of(split)], model.labels)
        for split in ("train", "val")
    )
    encoder, history = tune_image_tower(
        model, train, val, config, folder / ENCODER, folder / IMAGE_CHECKPOINT, pipeline.progress
    )
    if encoder is model.encoder:
        note = "training the image tower brought nothing, so it is the encoder's own"
        return pipeline, replace(prepared, notes=[*prepared.notes, note]), history
    tuned = pipeline.with_model(VideoModel(encoder))
    clips, skipped = read_clips(tuned, [clip.example for clip in prepared.clips])
    if skipped:
        raise InvalidInputError(
            f"{skipped[0].clip} could be read before and can't be now: {skipped[0].message}; put "
            "it back and go on with --resume"
        )
    return tuned, replace(prepared, clips=clips), history


def _scores(model: VideoModel, prepared: Prepared) -> Array:
    """What a model says of the clips that figures are of."""
    rows = prepared.of(measured_split({split: prepared.of(split) for split in SPLITS}))
    clips = gather([prepared.clips[place] for place in rows], model.labels)
    return score(model, clips, model.labels, model.multi_label)


def _fit_and_measure(
    model: VideoModel,
    prepared: Prepared,
    zero_shot: Array,
    config: TrainConfig,
    checkpoint: Path,
    *,
    progress: bool,
) -> dict[str, Any]:
    """Train and calibrate the model in place, and measure it beside its start."""
    places = {split: prepared.of(split) for split in SPLITS}
    sets = {
        split: gather([prepared.clips[place] for place in rows], model.labels)
        for split, rows in places.items()
        if rows
    }
    measured = measured_split(places)
    history = fit(model, sets["train"], sets["val"], config, checkpoint, progress=progress)
    temperature = calibrate(model, sets["val"])
    truth = Truth(
        np.asarray(sets[measured].targets.numpy() > 0),
        prepared.sources[places[measured]],
        model.labels,
        model.multi_label,
    )
    figures = measure(
        score(model, sets[measured], model.labels, model.multi_label),
        truth,
        prior=sets["train"].targets.mean(dim=0).double().numpy(),
        zero_shot=zero_shot,
    )
    return {
        **run_facts(prepared, places, history),
        **figures,
        "counts": {split: _counts(prepared, places[split], model.labels) for split in SPLITS},
        "temperature": temperature,
        "warnings": prepared.notes,
    }


def measured_split(places: dict[str, list[int]]) -> str:
    """The split that figures are of: `val` where no clip is in `test`."""
    return "test" if places["test"] else "val"


def run_facts(
    prepared: Prepared, places: dict[str, list[int]], history: list[dict[str, float]]
) -> dict[str, Any]:
    """What `metrics.json` holds of every run beside its figures.

    Args:
        prepared: the clips.
        places: of those that were used, by split.
        history: of the training.
    """
    return {
        "measured_on": measured_split(places),
        "clips_in": {split: len(places[split]) for split in SPLITS},
        "epoch": best_epoch(history),
        "history": history,
        "skipped": [asdict(item) for item in prepared.skipped],
    }


def _counts(prepared: Prepared, places: Sequence[int], labels: Sequence[str]) -> dict[str, int]:
    found = Counter(name for p in places for name in prepared.clips[p].example.labels)
    return {name: found[name] for name in labels}


def settings_of(data: LabelledData, pipeline: VideoPipeline, config: Config) -> dict[str, Any]:
    """All that decides a run, but for the videos themselves; the split has their digests."""
    return {
        "data": data.path,
        "encoder": pipeline.model.encoder.id,
        "labels": list(data.labels),
        "multi_label": data.multi_label,
        "train": config.to_dict(),
        "sampling": pipeline.sampling.to_dict(),
        "decoding": pipeline.decoding.to_dict(),
        **({} if pipeline.speech is None else {"speech": pipeline.speech.to_dict()}),
    }


def keep_sides(folder: Path, prepared: Prepared) -> None:
    """Write down on which side each clip is; see `keep_split`."""
    keep_split(folder / SPLIT, _split_text(prepared), "clips", "videos")


def _split_text(prepared: Prepared) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_SPLIT_COLUMNS)
    for clip, split, source in zip(prepared.clips, prepared.splits, prepared.sources, strict=True):
        example = clip.example
        where = (example.path, example.start, example.end)
        writer.writerow(
            [example.part, ";".join(example.labels), split, source, clip.content, *where]
        )
    return out.getvalue()


def _clear(folder: Path) -> None:
    """Make the folder, and remove an earlier run; the model goes first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, *FILES.values(), CHECKPOINT, IMAGE_CHECKPOINT):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / ENCODER, ignore_errors=True)
