"""`videomm ask`"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videomm.cli import options
from videomm.cli.batch import Settings, run_batch
from videomm.cli.inputs import EmptyFolder, expand_paths
from videomm.cli.output import Output
from videomm.types import Answer, clock

if TYPE_CHECKING:
    from videomm.pipeline import VideoPipeline


def command(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A video file, a folder of them, or - for a list on stdin.",
            show_default=False,
        ),
    ],
    question: Annotated[
        str | None,
        typer.Argument(metavar="QUESTION", help="In English.", show_default=False),
    ] = None,
    choices: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Answers to choose from, separated by commas."),
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help='A question a line, or JSON lines with "question" and perhaps "choices".',
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write the frames that the answers rest on here, and answers.json."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the folder of earlier answers.")
    ] = False,
    answerer: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Let a vision-language model of transformers answer, such as "
            "HuggingFaceTB/SmolVLM2-256M-Video-Instruct or a folder.",
        ),
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
    """Answer questions about a video, and show the moments that the answers rest on.

    Example: videomm ask clip.mp4 "when does the cat appear?"
    """
    asked = read_questions(question, choices, questions)
    output = Output(as_json=as_json, quiet=quiet)
    speech = options.speech_config(subtitles, transcribe, speech_model)
    settings = Settings(
        model, device, fps, max_frames, decoder, not no_cache, not quiet, speech, fusion
    )
    from videomm.render.evidence import check_evidence_folder
    from videomm.tasks.answer import check_question

    # Wrong usage is said once, before anything is loaded.
    for text, offered in asked:
        check_question(text, offered)
    videos = [item.path if isinstance(item, EmptyFolder) else item for item in expand_paths([path])]
    folders = _folders(videos, out)
    for folder in folders.values():
        check_evidence_folder(folder, force=force)
    loaded = None
    if answerer is not None:
        from videomm.hub import pick_device
        from videomm.tasks.vlm import Answerer

        loaded = Answerer.load(answerer, pick_device(device))

    def job(pipeline: VideoPipeline, video: str) -> None:
        timeline = pipeline.embed(video)
        answers = [
            pipeline.ask(timeline, text, offered, answerer=loaded) for text, offered in asked
        ]
        if video in folders:
            from videomm.render.evidence import write_evidence

            write_evidence(answers, timeline, folders[video], force=force)
        show(answers, output, folders.get(video))

    raise typer.Exit(run_batch(videos, settings, output, job))


def read_questions(
    question: str | None, choices: str | None, questions: str | None
) -> list[tuple[str, tuple[str, ...]]]:
    """Questions with their choices, from the command line or from a file.

    Args:
        question: one question.
        choices: `a,b,c` for it.
        questions: a UTF-8 file with a question a line, as text or as a JSON object with
            "question" and perhaps "choices".

    Raises:
        typer.BadParameter: neither or both of question and file, choices with a file, or a file
            that cannot be read or understood.
    """
    if (question is None) == (questions is None):
        raise typer.BadParameter('give one "QUESTION" or --questions FILE')
    if question is not None:
        offered = [item.strip() for item in choices.split(",")] if choices is not None else []
        return [(question, tuple(filter(None, offered)))]
    if choices is not None:
        raise typer.BadParameter(
            '--choices goes with one QUESTION; in a file write {"question": ..., "choices": [...]}'
        )
    assert questions is not None
    try:
        with open(questions, encoding="utf-8-sig") as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, start=1)]
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"--questions {questions}: {error}") from error
    asked = [_read_line(line, f"{questions}, line {number}") for number, line in lines if line]
    if not asked:
        raise typer.BadParameter(f"--questions {questions}: no questions in it; write one a line")
    return asked


def _read_line(line: str, where: str) -> tuple[str, tuple[str, ...]]:
    if not line.startswith("{"):
        return line, ()
    try:
        row = json.loads(line)
    except ValueError as error:
        raise typer.BadParameter(f"{where}: no JSON object: {error}") from error
    question, offered = row.get("question"), row.get("choices", [])
    texts = isinstance(offered, list) and all(isinstance(item, str) for item in offered)
    if not isinstance(question, str) or not texts:
        raise typer.BadParameter(
            f'{where}: expected {{"question": "...", "choices": ["...", "..."]}} (choices may be '
            f"left out), got {line:.80}"
        )
    return question, tuple(offered)


def _folders(videos: Sequence[str], out: Path | None) -> dict[str, Path]:
    from videomm.cli.summarize import result_folders

    return {} if out is None else result_folders(videos, out)


def show(answers: Sequence[Answer], output: Output, folder: Path | None = None) -> None:
    """Print the answers about one video."""
    if output.as_json:
        for answer in answers:
            output.record(answer.to_dict())
        return
    first = answers[0]
    output.text(f"{first.path}  ({clock(first.duration)}, {first.model}, {first.decoder})")
    for answer in answers:
        output.text(f"  {answer.question}")
        said = "not found" if answer.answer is None else answer.answer
        output.text(f"    {said}  {answer.score:.2f} ({answer.method})")
        for segment in answer.evidence[:3]:
            span = f"{clock(segment.start)} - {clock(segment.end)}"
            output.text(f"    {span:<19} {segment.score:.2f}")
        others = ", ".join(f"{item.answer} {item.score:.2f}" for item in answer.alternatives[:3])
        if others and answer.method != "yes/no":
            output.text(f"    or: {others}")
    # What holds for the whole video is said once.
    output.warnings(list(dict.fromkeys(item for answer in answers for item in answer.warnings)))
    if folder is not None:
        output.text(f"  evidence: {folder}")
