"""Labelled clips, read from a folder of folders, a CSV file or a JSONL file."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videomm.config import check_labels
from videomm.errors import InvalidInputError
from videomm.video.paths import videos_below

SPLITS = ("train", "val", "test")
COLUMNS = ("path", "label", "labels", "split", "group", "start", "end")
_SPLIT_NAMES = {**{name: name for name in SPLITS}, "validation": "val"}


@dataclass(frozen=True)
class Example:
    """One labelled clip: a video file, or a part of one.

    Attributes:
        path: the file.
        labels: one for single-label data; any number, in order of name, for multi-label data.
        split: `train`, `val` or `test`, where the data say so.
        group: what it comes from, such as a film or a person, where the data say so.
        start: seconds where the part starts; None is the video's start.
        end: seconds where it ends; None is the video's end.
    """

    path: str
    labels: tuple[str, ...]
    split: str | None = None
    group: str | None = None
    start: float | None = None
    end: float | None = None

    @property
    def part(self) -> str:
        """The path, with the seconds where it is a part."""
        if self.start is None and self.end is None:
            return self.path
        last = "end" if self.end is None else f"{self.end:g}"
        return f"{self.path} [{self.start or 0:g}-{last} s]"


@dataclass(frozen=True)
class LabelledData:
    """Labelled clips in the order of their source.

    Attributes:
        path: the folder or file that they were read from.
        examples: one a clip.
        labels: every label, sorted.
        multi_label: whether a clip can have several labels, or none.
        warnings: what a reader of the result should know.
    """

    path: str
    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    multi_label: bool
    warnings: tuple[str, ...] = ()


def read_labelled(path: str | os.PathLike[str]) -> LabelledData:
    """Read labelled clips.

    - A folder holds a folder a label with videos in and below it; a first level of `train`, `val`
      and `test` gives the split.
    - A CSV file has a header with `path`, and `label` for one label a clip or `labels` for
      several, joined by `;`. A JSONL file has the same keys, with `labels` as a list of texts.
    - Both may have `split` (train, val, test), `group` (what a clip comes from) and `start` and
      `end` (seconds). Relative paths start at the file's folder.

    Whether the videos can be read is not looked at here.

    Raises:
        InvalidInputError: the source does not have that form; the message names the line.
    """
    source = Path(path)
    suffix = source.suffix.lower()
    if source.is_dir():
        examples, warnings = _read_folders(source)
        multi_label = False
    elif suffix in (".csv", ".jsonl") and source.is_file():
        rows = read_rows(source)
        multi_label = _is_multi_label(source, rows)
        examples = parse_rows(source, rows, multi_label)
        unknown = sorted({key for _, row in rows for key in row if key not in COLUMNS})
        warnings = [f"columns that mean nothing here: {', '.join(unknown)}"] if unknown else []
    else:
        what = "neither a .csv nor a .jsonl file" if source.exists() else "not there"
        raise InvalidInputError(
            f"{str(path)!r} is {what}; data are a folder with a folder a label, or a .csv or "
            ".jsonl file with path and label"
        )
    labels = check_labels(sorted({name for e in examples for name in e.labels}), multi_label)
    return LabelledData(os.fspath(path), tuple(examples), tuple(labels), multi_label, (*warnings,))


def _read_folders(source: Path) -> tuple[list[Example], list[str]]:
    folders = _subfolders(source)
    pairs: list[tuple[Path, str | None]]
    if folders and all(folder.name in _SPLIT_NAMES for folder in folders):
        pairs = [(inner, _SPLIT_NAMES[top.name]) for top in folders for inner in _subfolders(top)]
    else:
        pairs = [(folder, None) for folder in folders]
    found = [(folder, split, videos_below(str(folder))) for folder, split in pairs]
    examples = [
        Example(path, (folder.name,), split) for folder, split, paths in found for path in paths
    ]
    if not examples:
        raise InvalidInputError(
            f"no videos in folders below {str(source)!r}; expected a folder a label, such as "
            "cats/one.mp4 and dogs/two.mp4"
        )
    warnings = [f"no video in the folder {folder}" for folder, _, paths in found if not paths]
    loose = len(videos_below(str(source))) - len(examples)
    if loose:
        warnings.append(f"{loose} videos lie beside the label folders and are left out")
    return examples, warnings


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


Row = dict[str, Any]


def read_rows(source: Path) -> list[tuple[int, Row]]:
    """Rows of a CSV file with a header, or of a JSONL file, with their line numbers.

    Raises:
        InvalidInputError: the file does not have that form; the message names the line.
    """
    read = _csv_rows if source.suffix.lower() == ".csv" else _json_rows
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            return list(read(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{str(source)!r} cannot be read as UTF-8 text: {error}") from error


def _csv_rows(file: Any) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(file, strict=True)
    for row in reader:
        if None in row or None in row.values():
            raise InvalidInputError(
                f"{file.name} line {reader.line_num}: {len(reader.fieldnames or ())} columns "
                "expected as in the header; put values with commas in double quotes"
            )
        yield reader.line_num, {key.strip(): value.strip() for key, value in row.items()}


def _json_rows(file: Any) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInputError(f"{file.name} line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InvalidInputError(f"{file.name} line {number}: expected an object, got {line!r}")
        yield number, {key: value for key, value in row.items() if value is not None}


def _is_multi_label(source: Path, rows: list[tuple[int, Row]]) -> bool:
    if not rows:
        raise InvalidInputError(f"{str(source)!r} has no rows; expected one a clip")
    keys = {key for _, row in rows for key in row}
    if "path" not in keys or ("label" in keys) == ("labels" in keys):
        raise InvalidInputError(
            f"{str(source)!r} has {', '.join(sorted(keys))}; expected path, and label (one a clip) "
            "or labels (several), not both"
        )
    return "labels" in keys


def parse_rows(source: Path, rows: list[tuple[int, Row]], multi_label: bool) -> list[Example]:
    """Rows of `read_rows` as examples.

    Raises:
        InvalidInputError: a row does not have the form of `read_labelled`, or comes twice; the
            message names the line.
    """
    examples: list[Example] = []
    lines: dict[tuple[object, ...], int] = {}
    for number, row in rows:
        try:
            example = _parse_row(source.parent, row, multi_label)
        except ValueError as error:
            raise InvalidInputError(f"{source} line {number}: {error}") from error
        first = lines.setdefault((example.path, example.start, example.end), number)
        if first != number:
            raise InvalidInputError(
                f"{source} line {number}: {example.part} is on line {first} already; a clip with "
                "several labels has them in one row, in a column labels"
            )
        examples.append(example)
    return examples


def _parse_row(folder: Path, row: Row, multi_label: bool) -> Example:
    path = row.get("path")
    if not isinstance(path, str) or not path:
        raise ValueError(f"path must be a file's name, got {path!r}")
    start, end = read_seconds(row, "start"), read_seconds(row, "end")
    if end is not None and end <= (start or 0):
        raise ValueError(f"end must lie after start, got start={start}, end={end}")
    split, group = split_and_group(row)
    return Example(
        path=str(folder / path),
        labels=_several(row.get("labels", [])) if multi_label else (_one(row.get("label")),),
        split=split,
        group=group,
        start=start,
        end=end,
    )


def split_and_group(row: Row) -> tuple[str | None, str | None]:
    """A row's split and group, each None where it is empty.

    Raises:
        ValueError: the split is none of `SPLITS`.
    """
    split, group = row.get("split") or None, row.get("group")
    if split is not None and split not in _SPLIT_NAMES:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, or empty, got {split!r}")
    return _SPLIT_NAMES[split] if split else None, None if group in (None, "") else str(group)


def _one(label: object) -> str:
    if not isinstance(label, str) or not label.strip():
        raise ValueError(f"label must be a text, got {label!r}; several go under labels")
    return label.strip()


def _several(labels: object) -> tuple[str, ...]:
    names = labels.split(";") if isinstance(labels, str) else labels
    if not isinstance(names, list) or not all(isinstance(n, str) and ";" not in n for n in names):
        raise ValueError(
            f"labels must be texts joined by ; or a list of texts without ;, got {labels!r}"
        )
    return tuple(sorted({name.strip() for name in names if name.strip()}))


def read_seconds(row: Row, key: str) -> float | None:
    """A row's seconds, None where it is empty.

    Raises:
        ValueError: it is no finite number of at least 0.
    """
    value = row.get(key)
    if value in (None, ""):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{key} must be seconds >= 0, got {value!r}")
    return seconds
