"""`videomm train`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from videomm.cli import options
from videomm.cli.batch import Settings
from videomm.cli.output import Output
from videomm.config import SpeechConfig, TrainConfig


def command(
    data: options.Data,
    out: Annotated[str, typer.Option(metavar="DIR", help="The folder for model and report.")],
    tune: Annotated[
        str,
        typer.Option(help="temporal: Transformer over time and head; head: the head alone."),
    ] = "temporal",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the clips at most; to suit them unless given.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Clips a step.")] = 32,
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
    several, joined by ;), and where you like split, group, start and end.

    Example: videomm train clips/ --out mymodel
    """
    speech = options.speech_config(subtitles, transcribe, speech_model)
    fusion = fusion or ("none" if speech is None else "late")
    if speech is None and fusion != "none":
        speech = SpeechConfig()
    config = TrainConfig(
        tune=tune, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, fusion=fusion
    )
    output = Output(as_json=as_json, quiet=quiet)
    from pathlib import Path

    from videomm.training.classifier import check_out, train_classifier
    from videomm.training.labelled import read_labelled

    check_out(Path(out), resume=resume, force=force)
    labelled = read_labelled(data)
    settings = Settings(model, device, fps, max_frames, decoder, not no_cache, not quiet, speech)
    pipeline = settings.load()
    several = ", several a clip" if labelled.multi_label else ""
    output.text(f"{data}: {len(labelled.examples)} clips, {len(labelled.labels)} labels{several}")

    metrics = train_classifier(labelled, out, pipeline, config, resume=resume, force=force)
    if as_json:
        output.record({"model": out, **metrics})
    else:
        _show(metrics, out, output)
    raise typer.Exit(int(bool(metrics["skipped"])))


def _show(metrics: dict[str, Any], out: str, output: Output) -> None:
    clips = metrics["clips_in"]
    output.text(
        f"  {clips['train']} to train, {clips['val']} to validate, {clips['test']} to test; "
        f"kept epoch {metrics['epoch']} of {len(metrics['history']) - 1}"
    )
    output.figures(metrics)
    output.text(f"  report: {out}/report.html")
    output.text(f"  use it: videomm classify CLIP --model {out}")
