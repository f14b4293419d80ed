"""`videomm pretrain`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from videomm.cli import options
from videomm.cli.output import Output


def command(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A TOML file with data, out and tables [image], [text] and [train].",
            show_default=False,
        ),
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train an encoder on your own pictures and texts.

    The data are a CSV or JSONL file with path (a picture; no videos yet) and text, and where you
    like split and group. Training runs on the processor; torchrun splits it over several.

    Example: videomm pretrain pairs.toml
    """
    output = Output(as_json=as_json, quiet=quiet)
    from videomm.training.pretrain_config import read_config
    from videomm.training.pretrain_run import pretrain_on_pairs
    from videomm.training.ranks import rank

    run = read_config(config)
    metrics = pretrain_on_pairs(run, resume=resume, force=force, progress=not quiet)
    if rank() > 0:
        return
    if as_json:
        output.record({"model": run.out, **metrics})
    else:
        _show(metrics, run.out, output)
    raise typer.Exit(int(bool(metrics["skipped"])))


def _show(metrics: dict[str, Any], out: str, output: Output) -> None:
    from rich.table import Table

    from videomm.training.pretrain_card import compare

    counts = metrics["counts"]
    output.text(
        f"{out}: {counts['train']} pictures with {counts['texts']} texts to train, "
        f"{counts['val']} with {counts['val_texts']} to validate"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 2))
    for name in ("", "this model", "start", "gain"):
        table.add_column(name, no_wrap=True)
    for row in compare(metrics):
        table.add_row(*row)
    output.table(table)
    output.warnings(metrics["warnings"])
    output.skipped(metrics["skipped"])
    output.text(f"  use it: videomm classify CLIP --model {out} --labels 'a cat,a dog'")
