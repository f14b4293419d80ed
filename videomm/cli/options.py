"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

from typing import Annotated

import typer

from videomm.config import SpeechConfig

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Video files, folders of them, or - for a list on stdin.",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Labelled clips: a folder with a folder a label, or a .csv or .jsonl file.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="tiny, ARCH/TAG, hf-hub:ORG/NAME, local-dir:PATH or a model folder; see "
        "`videomm models`.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, cuda:N or mps; the best there is unless given."),
]
Fps = Annotated[float, typer.Option(help="Frames to look at in a second of video.")]
MaxFrames = Annotated[
    int, typer.Option(help="Frames to look at in one video; longer ones are sampled evenly.")
]
Decoder = Annotated[
    str, typer.Option(help="auto (decord where it is exact, PyAV elsewhere), decord or pyav.")
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither read nor keep timelines on disk.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars, no log lines.")]
Subtitles = Annotated[
    str | None,
    typer.Option(
        metavar="auto|FILE|none",
        help="Also judge what is said: auto reads the subtitle file beside a video, else the "
        "stream inside it. A model that was trained with speech reads auto.",
        show_default=False,
    ),
]
Transcribe = Annotated[
    bool,
    typer.Option("--transcribe", help="Where there are no subtitles, listen (extra: speech)."),
]
SpeechModel = Annotated[
    str,
    typer.Option(metavar="NAME", help="Who listens: a model of faster-whisper, or its folder."),
]
Fusion = Annotated[
    str | None,
    typer.Option(
        metavar="none|early|late|hybrid",
        help="How what is said joins the pictures; late unless given.",
        show_default=False,
    ),
]


def speech_config(
    subtitles: str | None, transcribe: bool, speech_model: str
) -> SpeechConfig | None:
    """What the options ask for; None where none of them is given."""
    if subtitles is None and not transcribe:
        return None
    return SpeechConfig(subtitles or "auto", transcribe, speech_model)
