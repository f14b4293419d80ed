"""`videomm train`"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from videomm.cli import options
from videomm.cli.batch import Settings
from videomm.cli.output import Output
from videomm.config import TASKS, FrameTrainConfig, SpeechConfig, TrainConfig
from videomm.errors import InvalidInputError


def command(
    data: options.Data,
    out: Annotated[str, typer.Option(metavar="DIR", help="The folder for model and report.")],
    task: Annotated[
        str,
        typer.Option(
            help="What DATA tell: labels of clips (files, or parts of them), segments (what holds "
            "when in whole videos), or importance (what people find worth watching)."
        ),
    ] = "clips",
    tune: Annotated[
        str,
        typer.Option(
            help="temporal: Transformer over time and head; head: the head alone; all: the image "
            "tower first, from pixels, which takes minutes and pays with many clips."
        ),
    ] = "temporal",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the clips at most; to suit them unless given.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="32 clips a step, or 7 videos, unless given.", show_default=False),
    ] = None,
    lr: Annotated[float, typer.Option(help="How fast it learns.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same split and model.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run.")] = False,
    subtitles: options.Subtitles = None,
    transcribe: options.Transcribe = False,
    speech_model: options.SpeechModel = "base",
    fusion: options.Fusion = None,
    model: options.Model = "tiny",
    device: options.Device = None,
    fps: options.Fps = 2.0,
    max_frames: options.MaxFrames = 512,
    decoder: options.Decoder = "auto",
    no_cache: options.NoCache = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Learn your own classes from labelled clips.

    DATA is a folder with a folder a label, or a CSV or JSONL file with path and label (or labels:
    several, joined by ;), and where you like split, group, start and end. For --task segments it
    is a CSV or JSONL file with path, start, end and label: what holds when in each video; for
    --task importance one with path, start, end, score and where you like person, or TVSum's .tsv.

    Example: videomm train clips/ --out mymodel
    """
    output = Output(as_json=as_json, quiet=quiet)
    speech = options.speech_config(subtitles, transcribe, speech_model)
    fusion = fusion or ("none" if speech is None else "late")
    if speech is None and fusion != "none":
        speech = SpeechConfig()
    settings = Settings(model, device, fps, max_frames, decoder, not no_cache, not quiet, speech)
    run = _Run(data, Path(out), settings, resume, force)
    if task == "clips":
        size = TrainConfig.batch_size if batch_size is None else batch_size
        clips = TrainConfig(
            tune=tune, epochs=epochs, batch_size=size, lr=lr, seed=seed, fusion=fusion
        )
        metrics = _train_clips(run, clips, output)
    elif task in TASKS:
        if tune != "temporal":
            raise InvalidInputError(f"--tune {tune} is for clips; leave it out for {task}")
        if speech is not None:
            raise InvalidInputError(
                "what is said is fused for clips alone; leave out --subtitles, --transcribe and "
                f"--fusion for {task}"
            )
        size = FrameTrainConfig.batch_size if batch_size is None else batch_size
        frames = FrameTrainConfig(epochs=epochs, batch_size=size, lr=lr, seed=seed)
        train = _train_segments if task == "segments" else _train_importance
        metrics = train(run, frames, output)
    else:
        raise InvalidInputError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    if as_json:
        output.record({"model": out, **metrics})
    else:
        _show(metrics, out, "summarize" if task == "importance" else "classify", output)
    raise typer.Exit(int(bool(metrics["skipped"])))


@dataclass(frozen=True)
class _Run:
    """What every training takes."""

    data: str
    out: Path
    settings: Settings
    resume: bool
    force: bool

    def check(self) -> None:
        """See that the folder may be written before anything is read."""
        from videomm.training.classifier import check_out

        check_out(self.out, resume=self.resume, force=self.force)


def _train_clips(run: _Run, config: TrainConfig, output: Output) -> dict[str, Any]:
    from videomm.training.classifier import train_classifier
    from videomm.training.labelled import read_labelled

    run.check()
    labelled = read_labelled(run.data)
    pipeline = run.settings.load()
    several = ", several a clip" if labelled.multi_label else ""
    count = len(labelled.examples)
    output.text(f"{run.data}: {count} clips, {len(labelled.labels)} labels{several}")
    return train_classifier(labelled, run.out, pipeline, config, resume=run.resume, force=run.force)


def _train_segments(run: _Run, config: FrameTrainConfig, output: Output) -> dict[str, Any]:
    from videomm.training.segment_data import read_segments
    from videomm.training.segmenter import train_segmenter

    run.check()
    data = read_segments(run.data)
    pipeline = run.settings.load()
    count = sum(map(len, data.segments.values()))
    output.text(
        f"{run.data}: {count} segments of {len(data.segments)} videos, "
        f"{len(data.videos.labels)} labels"
    )
    return train_segmenter(data, run.out, pipeline, config, resume=run.resume, force=run.force)


def _train_importance(run: _Run, config: FrameTrainConfig, output: Output) -> dict[str, Any]:
    from videomm.training.rating_data import read_ratings
    from videomm.training.summarizer import train_summarizer

    run.check()
    data = read_ratings(run.data)
    pipeline = run.settings.load()
    people = max(map(len, data.ratings.values()))
    several = f" by up to {people} people each" if people > 1 else ""
    output.text(f"{run.data}: {len(data.ratings)} videos, rated{several}")
    return train_summarizer(data, run.out, pipeline, config, resume=run.resume, force=run.force)


def _show(metrics: dict[str, Any], out: str, use: str, output: Output) -> None:
    clips = metrics["clips_in"]
    output.text(
        f"  {clips['train']} to train, {clips['val']} to validate, {clips['test']} to test; "
        f"kept epoch {metrics['epoch']} of {len(metrics['history']) - 1}"
    )
    if "image_tower" in metrics:
        tower = metrics["image_tower"]
        output.text(f"  image tower: kept epoch {tower['epoch']} of {len(tower['history']) - 1}")
    output.figures(metrics)
    output.text(f"  report: {out}/report.html")
    output.text(f"  use it: videomm {use} CLIP --model {out}")
