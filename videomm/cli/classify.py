"""`videomm classify`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videomm.cli import options
from videomm.cli.batch import Settings, run_batch
from videomm.cli.inputs import read_labels
from videomm.cli.output import Output
from videomm.config import ClassifyConfig, check_labels
from videomm.types import Classification, clock

if TYPE_CHECKING:
    from videomm.pipeline import VideoPipeline


def command(
    paths: options.Paths,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Labels, separated by commas; a trained model has its own."
        ),
    ] = None,
    labels_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A text file with one label a line.")
    ] = None,
    top: Annotated[int | None, typer.Option(help="Show this many labels.", min=1)] = None,
    multi_label: Annotated[
        bool, typer.Option("--multi-label", help="Score each label on its own.")
    ] = False,
    unknown: Annotated[
        float | None,
        typer.Option(help="Under this score the video is unknown.", min=0.0, max=1.0),
    ] = None,
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
    """Say which of your labels a video has, and when.

    Example: videomm classify clip.mp4 --labels "a cat,a dog,a rocket launch"
    """
    own = labels is None and labels_file is None and _has_labels(model)
    names = None if own else check_labels(read_labels(labels, labels_file), multi_label)
    config = ClassifyConfig(multi_label=multi_label, unknown=unknown, top=top)
    output = Output(as_json=as_json, quiet=quiet)
    speech = options.speech_config(subtitles, transcribe, speech_model)
    settings = Settings(
        model, device, fps, max_frames, decoder, not no_cache, not quiet, speech, fusion
    )

    def job(pipeline: VideoPipeline, path: str) -> None:
        show(pipeline.classify(path, names, config), output)

    raise typer.Exit(run_batch(paths, settings, output, job))


def _has_labels(model: str) -> bool:
    """Whether a model says that it was trained on labels; what is odd is the loader's to say."""
    if model.startswith("hf-hub:"):
        from videomm.hub import hub_config

        return bool((hub_config(model) or {}).get("labels"))
    try:
        return bool(json.loads((Path(model) / "config.json").read_text())["labels"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def show(result: Classification, output: Output) -> None:
    """Print a classification."""
    if output.as_json:
        output.record(result.to_dict())
        return
    output.text(f"{result.path}  ({clock(result.duration)}, {result.model}, {result.decoder})")
    if result.unknown:
        output.text("  unknown: no label reaches the threshold")
    output.labels([(item.label, item.score) for item in result.labels])
    for segment in result.segments:
        span = f"{clock(segment.start)} - {clock(segment.end)}"
        output.text(f"  {span:<19} {segment.label} {segment.score:.2f}")
    output.warnings(list(result.warnings))
