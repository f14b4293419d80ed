"""`videomm demo`"""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from videomm.cli import ask, classify, options, summarize
from videomm.cli.output import Output

CLIP = Path(__file__).parent.parent / "assets" / "demo.mp4"
LABELS = (
    "a rocket launch",
    "a smiling woman",
    "a cat",
    "a cup of coffee",
    "the night sky",
    "a man with a camera",
    "a football match",
)
QUESTION = "When does the cat appear?"


def command(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Classify, sum up and question the clip that comes with videomm.

    Example: videomm demo
    """
    output = Output(as_json=as_json, quiet=quiet)
    from videomm.cache import TimelineCache
    from videomm.config import ClassifyConfig
    from videomm.pipeline import load

    pipeline = load("tiny", cache=False, progress=not quiet)
    page = Path(tempfile.mkdtemp(prefix="videomm-demo-")) / "summary"
    # Decoded once for all jobs, and kept nowhere.
    with tempfile.TemporaryDirectory() as folder:
        pipeline.cache = TimelineCache(folder)
        classify.show(pipeline.classify(CLIP, LABELS, ClassifyConfig()), output)
        output.text()
        summarize.show(pipeline.summarize(CLIP, out=page), output)
        output.text()
        ask.show([pipeline.ask(CLIP, QUESTION)], output)
    output.text("\nThe same on your own files:")
    output.text(f'  videomm classify {CLIP} --labels "a cat,a dog"')
    output.text(f"  videomm summarize {CLIP} --out summary/")
    output.text(f'  videomm ask {CLIP} "{QUESTION}"')
    raise typer.Exit(output.exit_code)
