"""`videomm summarize`"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videomm.cli import options
from videomm.cli.batch import Settings, run_batch
from videomm.cli.inputs import EmptyFolder, expand_paths
from videomm.cli.output import Output
from videomm.types import Summary, clock

if TYPE_CHECKING:
    from videomm.pipeline import VideoPipeline


Seconds = Annotated[
    float | None,
    typer.Option(help="Length of the stretches worth watching, in all.", show_default=False),
]
Ratio = Annotated[
    float | None,
    typer.Option(
        help="The same as a share of the video; 0.15, at most 60 s, unless given.",
        show_default=False,
    ),
]
Keyframes = Annotated[int | None, typer.Option(help="Show at most this many keyframes.", min=1)]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write storyboard, page, captions, JSON and reel here; with several videos a folder "
        "each. Without it nothing is written.",
    ),
]
NoReel = Annotated[
    bool, typer.Option("--no-reel", help="Leave out the video of the best stretches.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the folder of an earlier summary.")]
BankFile = Annotated[
    str | None,
    typer.Option("--bank", metavar="FILE", help="Your own words: [objects], [scenes], [actions]."),
]


def command(
    paths: options.Paths,
    seconds: Seconds = None,
    ratio: Ratio = None,
    keyframes: Keyframes = None,
    out: Out = None,
    no_reel: NoReel = False,
    force: Force = False,
    bank: BankFile = None,
    model: options.Model = "tiny",
    device: options.Device = None,
    fps: options.Fps = 2.0,
    max_frames: options.MaxFrames = 512,
    decoder: options.Decoder = "auto",
    no_cache: options.NoCache = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell what is to be seen when, and cut out the stretches worth watching.

    Example: videomm summarize clip.mp4 --out summary/
    """
    output = Output(as_json=as_json, quiet=quiet)
    settings = Settings(model, device, fps, max_frames, decoder, not no_cache, not quiet)
    from videomm.config import SummarizeConfig

    # Wrong usage is said once, before anything is loaded.
    config = SummarizeConfig(seconds=seconds, ratio=ratio, keyframes=keyframes, bank=bank)
    from videomm.tasks.concepts import read_bank

    read_bank(bank)
    videos = [item.path if isinstance(item, EmptyFolder) else item for item in expand_paths(paths)]
    folders = result_folders(videos, out) if out is not None else {}

    def job(pipeline: VideoPipeline, path: str) -> None:
        folder = folders.get(path)
        show(pipeline.summarize(path, config, out=folder, reel=not no_reel, force=force), output)

    raise typer.Exit(run_batch(videos, settings, output, job))


def result_folders(videos: Iterable[str], out: Path) -> dict[str, Path]:
    """Where each video's files go: `out` itself for one video, a folder a video for several.

    Folders are named after the files; a name that comes again gets a number, also where names
    differ by case alone, which not every disk tells apart.
    """
    paths = list(videos)
    if len(paths) == 1:
        return {paths[0]: out}
    taken: set[str] = set()
    folders = {}
    for path in paths:
        stem = Path(path).stem.strip(". ") or "video"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        folders[path] = out / name
    return folders


def show(result: Summary, output: Output) -> None:
    """Print a summary."""
    if output.as_json:
        output.record(result.to_dict())
        return
    output.text(f"{result.path}  ({clock(result.duration)}, {result.model}, {result.decoder})")
    for scene in result.scenes:
        output.text(f"  {clock(scene.start)} - {clock(scene.end):<9} {scene.text}")
    if result.overall:
        output.text(f"  overall: {result.overall}")
    chosen = ", ".join(f"{clock(s.start)} - {clock(s.end)}" for s in result.segments)
    total = sum(item.end - item.start for item in result.segments)
    output.text(f"  worth watching ({total:.1f} s): {chosen}")
    output.text(f"  keyframes: {', '.join(clock(item.time) for item in result.keyframes)}")
    output.warnings(list(result.warnings))
    for kind, path in result.files.items():
        output.text(f"  {kind}: {path}")
