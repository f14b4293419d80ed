"""`videomm evaluate`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from videomm.cli import options
from videomm.cli.batch import Settings
from videomm.cli.output import Output


def command(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A folder of videomm train, or tiny or another name."),
    ],
    data: options.Data,
    subtitles: options.Subtitles = None,
    transcribe: options.Transcribe = False,
    speech_model: options.SpeechModel = "base",
    device: options.Device = None,
    fps: options.Fps = 2.0,
    max_frames: options.MaxFrames = 512,
    decoder: options.Decoder = "auto",
    no_cache: options.NoCache = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure a model on labelled clips, beside zero-shot and the most common label.

    DATA is as for train (of the model's own task); with a column split, its test clips count.
    Clips that the model was trained on are left out.

    Example: videomm evaluate mymodel clips/
    """
    output = Output(as_json=as_json, quiet=quiet)
    from videomm.evaluation.models import (
        evaluate_model,
        evaluate_segmenter,
        evaluate_summarizer,
    )
    from videomm.training.labelled import read_labelled
    from videomm.training.rating_data import read_ratings
    from videomm.training.segment_data import read_segments

    speech = options.speech_config(subtitles, transcribe, speech_model)
    settings = Settings(model, device, fps, max_frames, decoder, not no_cache, not quiet, speech)
    pipeline = settings.load()
    if pipeline.model.frame_labels is not None:
        metrics = evaluate_segmenter(read_segments(data), pipeline, model)
    elif pipeline.model.importance is not None:
        metrics = evaluate_summarizer(read_ratings(data), pipeline, model)
    else:
        folder = model if pipeline.model.labels else None
        metrics = evaluate_model(read_labelled(data), pipeline, folder)
    if as_json:
        output.record(metrics)
    else:
        _show(metrics, model, data, output)
    raise typer.Exit(int(bool(metrics["skipped"])))


def _show(metrics: dict[str, Any], model: str, data: str, output: Output) -> None:
    left = f" ({metrics['left_out']} left out: trained on)" if metrics["left_out"] else ""
    unit = "videos" if "videos" in metrics else "clips"
    labels = f", {len(metrics['labels'])} labels" if "labels" in metrics else ""
    output.text(f"{model} on {data}: {metrics['clips']} {unit}{left}{labels}")
    output.figures(metrics)
