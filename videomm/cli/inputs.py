"""Command-line paths to a list of videos."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import typer

from videomm.video.paths import videos_below


@dataclass(frozen=True)
class EmptyFolder:
    """A folder on the command line with no video in it."""

    path: str


def expand_paths(paths: Iterable[str]) -> list[str | EmptyFolder]:
    """Videos to work on: files as given, folders with all below them, `-` read from stdin.

    Each file comes once, in order of first mention; a folder's files are sorted.
    """
    found: dict[str | EmptyFolder, None] = {}
    for path in _with_stdin(paths):
        if os.path.isdir(path):
            inside = videos_below(path)
            found.update(dict.fromkeys(inside))
            if not inside:
                found[EmptyFolder(path)] = None
        else:
            found[path] = None
    return list(found)


def read_labels(labels: str | None, labels_file: str | None) -> list[str]:
    """Labels from `--labels a,b` or from a file with one a line.

    Raises:
        typer.BadParameter: neither or both, or a file that is empty or no UTF-8 text.
    """
    if (labels is None) == (labels_file is None):
        raise typer.BadParameter("give the labels with --labels 'a,b,c' or --labels-file FILE")
    if labels is not None:
        return [item.strip() for item in labels.split(",") if item.strip()]
    assert labels_file is not None
    try:
        with open(labels_file, encoding="utf-8-sig") as file:
            names = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"--labels-file {labels_file}: {error}") from error
    if not names:
        raise typer.BadParameter(f"--labels-file {labels_file} is empty: give one label a line")
    return names


def _with_stdin(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if path == "-":
            # Bytes, since a file name need not be UTF-8.
            lines = (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer)
            yield from filter(None, lines)
        else:
            yield path
