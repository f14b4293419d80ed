"""`videomm export`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videomm.cli import options
from videomm.cli.output import Output

if TYPE_CHECKING:
    from videomm.sharing.onnx_export import Exported


def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A folder of videomm train, or tiny or another encoder's name."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder for the files; MODEL-onnx in this folder unless given.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a model as ONNX files, which run without torch.

    A trained model gives image.onnx (frames to embeddings) and classifier.onnx (embeddings with
    their times to scores), an encoder image.onnx and text.onnx; model.json says what goes in and
    comes out. Each file is checked in onnxruntime first. Needs pip install 'videomm[onnx]'.

    Example: videomm export mymodel
    """
    output = Output(as_json=as_json, quiet=quiet)
    from videomm.hub import load_model
    from videomm.sharing.onnx_export import check_installed, check_out, export_model, public_name

    check_installed()
    folder = out or Path(public_name(model).replace(":", "-").replace("/", "-") + "-onnx")
    check_out(folder, force=force)
    done = export_model(load_model(model, "cpu"), folder, force=force)
    if as_json:
        output.record({"out": str(folder), **done.config})
    else:
        _show(done, model, output)


def _show(done: Exported, model: str, output: Output) -> None:
    output.text(f"{model} -> {done.folder}")
    for name, file in done.config["files"].items():
        inputs, outputs = (
            ", ".join(f"{key} {tuple(value['shape'])}" for key, value in file[side].items())
            for side in ("inputs", "outputs")
        )
        line = f"  {name} ({done.sizes[name] / 1e6:.1f} MB): {inputs} -> {outputs}"
        output.text(line.replace("'", ""))
    greatest = max(done.config["greatest_difference"].values())
    output.text(
        f"  checked in onnxruntime: {greatest:.7f} from torch at most "
        f"(allowed: {done.config['tolerance']:.4f})"
    )
