"""The folder of a run of training: its files are whole or not there, and a resumed run must fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videomm.errors import InvalidInputError


def to_json(values: dict[str, Any]) -> str:
    """As the folder's files hold values."""
    return json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; a file's name in it need not be text."""
    aside = path.with_name(f"{path.name}.part")
    aside.write_bytes(text.encode("utf-8", "replace"))
    aside.replace(path)


def check_same(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """See that a run is resumed with the settings it began with.

    Raises:
        InvalidInputError: one differs.
    """
    for key, value in json.loads(to_json(now)).items():
        if before.get(key) != value:
            raise InvalidInputError(
                f"the run in {str(folder)!r} began with {key} {before.get(key)!r}, now it is "
                f"{value!r}; resume it with the same, or begin anew with --force"
            )


def keep_split(path: Path, text: str, kind: str, files: str) -> None:
    """Write a run's split down; a resumed run must come to the same.

    Args:
        path: of the file.
        text: all of it.
        kind: the word for what is split.
        files: the word for the files of it.

    Raises:
        InvalidInputError: the file is there and differs.
    """
    if path.exists() and path.read_bytes() != text.encode("utf-8", "replace"):
        raise InvalidInputError(
            f"the {kind} are not those that {str(path)!r} lists: {files} were added, removed or "
            "changed since the run began; begin anew with --force"
        )
    write_text(path, text)
