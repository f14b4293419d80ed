"""`videomm embed`"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videomm.cli import options
from videomm.cli.batch import Settings, run_batch
from videomm.cli.output import Output
from videomm.errors import InvalidInputError
from videomm.types import clock

if TYPE_CHECKING:
    from videomm.pipeline import VideoPipeline
    from videomm.types import Timeline


def command(
    paths: options.Paths,
    out: Annotated[
        Path,
        typer.Option(
            metavar="F.npz|DIR", help="A file for one video, or a folder with a file a video."
        ),
    ],
    model: options.Model = "tiny",
    device: options.Device = None,
    fps: options.Fps = 2.0,
    max_frames: options.MaxFrames = 512,
    decoder: options.Decoder = "auto",
    no_cache: options.NoCache = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a video's embeddings and their times to a NumPy file.

    Example: videomm embed clips/ --out embeddings/
    """
    output = Output(as_json=as_json, quiet=quiet)
    settings = Settings(model, device, fps, max_frames, decoder, not no_cache, not quiet)
    names = _Names(out)

    def job(pipeline: VideoPipeline, path: str) -> None:
        timeline = pipeline.embed(path)
        target = names.take(path)
        write_npz(timeline, target)
        if output.as_json:
            output.record(
                {
                    "path": path,
                    "model": pipeline.model.name,
                    "decoder": timeline.decoder,
                    "complete": timeline.complete,
                    "warnings": list(timeline.warnings),
                    "out": str(target),
                    "frames": len(timeline),
                    "dim": timeline.embeddings.shape[1],
                }
            )
        else:
            n, d = timeline.embeddings.shape
            output.text(f"{path} -> {target}  ({clock(timeline.duration)}, {n} x {d})")
            output.warnings(list(timeline.warnings))

    raise typer.Exit(run_batch(paths, settings, output, job))


class _Names:
    """A file name for each video of one run, none given twice."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._single = out.suffix == ".npz" and not out.is_dir()
        self._taken: set[str] = set()

    def take(self, path: str) -> Path:
        if self._single:
            if self._taken:
                raise InvalidInputError(
                    f"--out {self._out} holds one video; give a folder for several"
                )
            self._taken.add(self._out.name)
            return self._out
        stem, number = Path(path).stem or "video", 1
        name = stem
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return self._out / f"{name}.npz"


def write_npz(timeline: Timeline, target: Path) -> None:
    """Write a timeline's arrays to an .npz file, whole or not at all.

    Keys: embeddings float32 (N, D), times float64 (N,) seconds, duration, encoder, path, decoder,
    complete, warnings.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    import numpy as np

    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            np.savez(
                file,
                embeddings=timeline.embeddings,
                times=timeline.times,
                duration=np.float64(timeline.duration),
                encoder=np.str_(timeline.encoder),
                path=np.str_(timeline.path),
                decoder=np.str_(timeline.decoder),
                complete=np.bool_(timeline.complete),
                warnings=np.array(timeline.warnings, dtype=np.str_),
            )
        aside.replace(target)
    except OSError as error:
        raise InvalidInputError(f"cannot write {target}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
