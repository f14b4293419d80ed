"""`videomm models`"""

from __future__ import annotations

from typing import Annotated

import typer

from videomm.cli import options
from videomm.cli.output import Output
from videomm.errors import InvalidInputError


def command(
    pattern: Annotated[
        str, typer.Argument(help="Show only names that contain this.", show_default=False)
    ] = "",
    as_json: options.Json = False,
) -> None:
    """List the models that --model takes.

    Example: videomm models siglip
    """
    from videomm.hub import list_models

    output = Output(as_json=as_json)
    names = [name for name in list_models() if pattern.lower() in name.lower()]
    if not names:
        raise InvalidInputError(
            f"no model has {pattern!r} in its name; videomm models lists them all"
        )
    for name in names:
        offline = name == "tiny"
        if as_json:
            output.record({"model": name, "offline": offline})
        else:
            output.text(f"{name}  (embedded, default)" if offline else name)
    if not as_json and not pattern:
        output.text("also: hf-hub:ORG/NAME, local-dir:PATH, or the folder of a saved model")
