"""The `videomm` command. Handlers import what they need when they run, so `--help` is quick."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from videomm.cli import (
    ask,
    cache,
    classify,
    demo,
    doctor,
    embed,
    evaluate,
    export,
    models,
    pretrain,
    push,
    summarize,
    train,
)
from videomm.errors import VideommError

app = typer.Typer(
    name="videomm",
    help="Classify, summarise and question video files: offline, on your machine, with times.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("classify")(classify.command)
app.command("summarize")(summarize.command)
app.command("ask")(ask.command)
app.command("embed")(embed.command)
app.command("train")(train.command)
app.command("pretrain")(pretrain.command)
app.command("evaluate")(evaluate.command)
app.command("export")(export.command)
app.command("push")(push.command)
app.command("models")(models.command)
app.command("doctor")(doctor.command)
app.command("cache")(cache.command)
app.command("demo")(demo.command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from videomm import __version__

        typer.echo(f"videomm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command: exit code 0 ok, 1 a file failed, 2 wrong usage, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # bars and names that a terminal cannot show
            stream.reconfigure(errors="replace")
    try:
        app()
    except VideommError as error:
        _fail(f"videomm: {error}", 2)
    except (KeyboardInterrupt, SystemExit) as error:
        # typer may have caught the interrupt, and leaves with its exit code alone.
        if isinstance(error, SystemExit) and error.code != 130:
            raise
        _fail("videomm: interrupted", 130)
    except BrokenPipeError:
        # The reader went away; Python would complain once more while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _fail(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
