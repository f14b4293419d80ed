"""All files of a summary, written as one folder: whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from videomm.config import DecodingConfig
from videomm.errors import InvalidInputError, VideommError
from videomm.models.video_model import VideoModel
from videomm.render.page import build_page
from videomm.render.reel import write_reel
from videomm.render.storyboard import draw_storyboard
from videomm.render.webvtt import chapters_vtt, descriptions_vtt
from videomm.types import Summary, Timeline

try:
    import fcntl
except ImportError:  # Windows: folders of killed runs stay there
    fcntl = None  # type: ignore[assignment]

FILES = {
    "storyboard": "storyboard.jpg",
    "page": "summary.html",
    "chapters": "chapters.vtt",
    "descriptions": "descriptions.vtt",
    "json": "summary.json",
    "reel": "reel.mp4",
}


def write_summary(
    summary: Summary,
    timeline: Timeline,
    folder: str | os.PathLike[str],
    *,
    reel: bool = True,
    force: bool = False,
    decoding: DecodingConfig | None = None,
    progress: bool = True,
    model: VideoModel | None = None,
) -> Summary:
    """Write storyboard, page, captions, JSON and reel into a folder that appears when all is done.

    Args:
        summary: of the timeline.
        timeline: with thumbnails.
        folder: made anew; its parents too.
        reel: also cut and encode the chosen stretches.
        force: replace a folder of an earlier summary.
        decoding: for the reel.
        progress: draw a progress bar on stderr where that is a terminal.
        model: that the summary was made with, where it was trained on people's ratings.

    Returns:
        The summary with the paths of its files, and with warnings of the reel.

    Raises:
        InvalidInputError: the folder exists or cannot be written; nothing is left then.
        VideoError: the video cannot be read for the reel.
    """
    target = Path(folder)
    check_folder(target, force=force)
    names = {kind: name for kind, name in FILES.items() if reel or kind != "reel"}
    with replacing_folder(target) as aside:
        if reel:
            extra = write_reel(
                summary.path,
                summary.segments,
                aside / names["reel"],
                decoding,
                progress=progress,
            )
            summary = replace(summary, warnings=tuple(dict.fromkeys([*summary.warnings, *extra])))
        # Inside the folder files are named as they lie beside each other.
        local = replace(summary, files=names)
        _write_texts(local, timeline, aside, model)
        sheet = draw_storyboard(summary, timeline, os.path.basename(summary.path))
        sheet.save(aside / names["storyboard"], quality=90)
    return replace(summary, files={kind: str(target / name) for kind, name in names.items()})


def check_folder(folder: Path, *, force: bool) -> None:
    """See that a summary may be written there; see `check_replaceable`."""
    words = ("an earlier summary", "no summary's", "summaries")
    check_replaceable(folder, lambda name: name in FILES.values(), words, force=force)


def check_replaceable(
    folder: Path, is_ours: Callable[[str], bool], words: tuple[str, str, str], *, force: bool
) -> None:
    """See that results may be written to a folder.

    Even `force` only replaces what earlier results could have left: a folder with anything else
    in it is somebody's own.

    Args:
        folder: where the results are to lie.
        is_ours: whether a file of that name could be one of them.
        words: for the messages: the earlier results, "no result's", and the plural.
        force: replace earlier results.

    Raises:
        InvalidInputError: it exists and may not be replaced.
    """
    earlier, nobodys, plural = words
    try:
        present = sorted(item.name for item in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidInputError(
            f"{str(folder)!r} cannot be a folder for results: {error.strerror}; choose another"
        ) from error
    strangers = [name for name in present if not is_ours(name)]
    if strangers and force:
        raise InvalidInputError(
            f"{str(folder)!r} holds {strangers[0]!r}, which is {nobodys}; even --force replaces "
            f"only {plural}: choose another folder"
        )
    if present and not force:
        raise InvalidInputError(
            f"{str(folder)!r} exists and is not empty; give --force to replace {earlier}, "
            "or another folder"
        )


def _write_texts(
    summary: Summary, timeline: Timeline, folder: Path, model: VideoModel | None
) -> None:
    texts = {
        "page": build_page(summary, timeline, model),
        "chapters": chapters_vtt(summary),
        "descriptions": descriptions_vtt(summary),
        "json": json.dumps(summary.to_dict(), indent=1, allow_nan=False) + "\n",
    }
    for kind, text in texts.items():
        # A file's name need not be text; what is none becomes a question mark.
        data = text.encode("utf-8", "replace")
        (folder / FILES[kind]).write_bytes(data)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place at the end, or vanishes on any error.

    What killed runs left beside `target` goes as well.
    """
    target = Path(os.path.abspath(target))
    aside = old = lock = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        lock = _lock(aside)
        yield aside
        aside.chmod(0o777 & ~_umask())
        if target.exists():
            old = aside.with_suffix(".old")
            target.rename(old)
        aside.rename(target)
        _remove_leftovers(target)
    except OSError as error:
        if isinstance(error, VideommError):
            raise
        raise InvalidInputError(
            f"cannot write {str(target)!r}: {error.strerror or error}; choose another folder"
        ) from error
    finally:
        # An interrupt can come between any two steps.
        if old is not None and old.exists():
            if target.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.rename(target)
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Hold a folder until its descriptor is closed, by this process or by its end.

    Returns:
        The descriptor; None where another process holds the folder, or locks are not to be had.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_leftovers(target: Path) -> None:
    """Remove the folders of killed runs: those that nobody holds."""
    name = re.compile(rf"\.{re.escape(target.name)}\.\w{{8}}\.(part|old)")
    for path in target.parent.iterdir():
        if name.fullmatch(path.name) and (lock := _lock(path)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
