"""`videomm demo`"""

from __future__ import annotations

from pathlib import Path

import typer

from videomm.cli import options
from videomm.cli.classify import show
from videomm.cli.output import Output

CLIP = Path(__file__).parent.parent / "assets" / "demo.mp4"
LABELS = (
    "an astronaut",
    "a cat",
    "a cup of coffee",
    "a rocket launch",
    "a motorcycle",
    "a football match",
)


def command(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Classify the clip that comes with videomm, to see that everything works.

    Example: videomm demo
    """
    output = Output(as_json=as_json, quiet=quiet)
    from videomm.config import ClassifyConfig
    from videomm.pipeline import load

    pipeline = load("tiny", cache=False, progress=not quiet)
    show(pipeline.classify(CLIP, LABELS, ClassifyConfig()), output)
    if not as_json:
        output.text(f'\nThe same on your own files: videomm classify {CLIP} --labels "a cat,a dog"')
    raise typer.Exit(output.exit_code)
