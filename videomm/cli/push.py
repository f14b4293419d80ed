"""`videomm push`"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from videomm.cli import options
from videomm.cli.output import Output


def command(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="A folder of videomm train.", show_default=False)
    ],
    repo: Annotated[
        str,
        typer.Argument(metavar="OWNER/NAME", help="What it is called there.", show_default=False),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make it for the owner's eyes alone.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Upload a trained model to the Hugging Face hub.

    What names or shows your files stays here: split, settings, figures and report. Others then
    give --model hf-hub:OWNER/NAME. Log in first with hf auth login, or set HF_TOKEN.

    Example: videomm push mymodel myname/mymodel
    """
    output = Output(as_json=as_json, quiet=quiet)
    from videomm.sharing.push import push_model

    done = push_model(folder, repo, private=private, progress=not quiet)
    if as_json:
        output.record(asdict(done))
        return
    output.text(f"{folder} -> {done.url}")
    output.text(f"  uploaded: {', '.join(done.uploaded)}")
    output.text(f"  left out: {', '.join(done.left_out) or 'nothing'}")
    output.text(f"  use it: videomm classify CLIP --model hf-hub:{done.repo}")
