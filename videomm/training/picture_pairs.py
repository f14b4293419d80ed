"""Pictures with texts, read from a CSV or JSONL file of the user's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from videomm.cache import digest_file
from videomm.errors import InvalidInputError
from videomm.progress import progress_bar
from videomm.training.clips import Skipped
from videomm.training.labelled import Example, Row, read_rows, split_and_group
from videomm.training.splits import sources_of

COLUMNS = ("path", "text", "split", "group")
VAL_SHARE = 0.1  # of the sources, where the data have no validation pictures
MOST_VAL = 1000  # pictures that are measured on: retrieval among more takes long and says no more


@dataclass(frozen=True)
class Picture:
    """A picture and what is written about it.

    Attributes:
        path: the file.
        texts: one or several, each of them right for it.
        split: `train`, `val` or `test`, where the data say so.
        group: what it comes from, such as a film or a person, where the data say so.
    """

    path: str
    texts: tuple[str, ...]
    split: str | None = None
    group: str | None = None


class PictureFiles:
    """Reads pictures, in the form that `Pictures` and `RandomCrops` ask an archive."""

    def read(self, row: Picture) -> Image.Image:
        """Decode one as RGB, turned as its camera said.

        Raises:
            OSError: it is not a picture that can be read.
        """
        with Image.open(row.path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")


def read_pictures(path: str | os.PathLike[str]) -> tuple[list[Picture], list[str]]:
    """Read which pictures have which texts; the pictures themselves are not looked at.

    A CSV file has a header with `path` and `text`; a picture with several texts has a row for
    each. A JSONL file has the same keys, where `text` may be a list. Both may have `split` (train,
    val, test) and `group`. Relative paths start at the file's folder.

    Returns:
        Pictures in the order of their first row, and what a reader should know.

    Raises:
        InvalidInputError: the file does not have that form; the message names the line.
    """
    source = Path(path)
    if source.suffix.lower() not in (".csv", ".jsonl") or not source.is_file():
        what = "neither a .csv nor a .jsonl file" if source.exists() else "not there"
        raise InvalidInputError(
            f"{str(path)!r} is {what}; data are a .csv or .jsonl file with path and text"
        )
    rows = read_rows(source)
    if not rows:
        raise InvalidInputError(f"{str(path)!r} has no rows; expected one a picture")
    columns = {key for _, row in rows for key in row}
    if missing := [name for name in ("path", "text") if name not in columns]:
        raise InvalidInputError(
            f"{str(path)!r} has no column {missing[0]!r}; its columns are "
            f"{', '.join(sorted(columns))}, and path and text are needed"
        )
    found: dict[str, Picture] = {}
    for number, row in rows:
        try:
            picture = _parse_row(source.parent, row)
            found[picture.path] = _merge(found.get(picture.path), picture)
        except ValueError as error:
            raise InvalidInputError(f"{source} line {number}: {error}") from error
    unknown = sorted(columns - set(COLUMNS))
    notes = [f"columns that mean nothing here: {', '.join(unknown)}"] if unknown else []
    return list(found.values()), notes


def _parse_row(folder: Path, row: Row) -> Picture:
    path, given = row.get("path"), row.get("text")
    if not isinstance(path, str) or not path:
        raise ValueError(f"path must be a picture's file, got {path!r}")
    texts: list[Any] = given if isinstance(given, list) else [given]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"text must be a text, or in JSONL a list of texts, got {given!r:.80}")
    clean = tuple(dict.fromkeys(" ".join(text.split()) for text in texts))
    return Picture(str(folder / path), clean, *split_and_group(row))


def _merge(before: Picture | None, now: Picture) -> Picture:
    if before is None:
        return now
    if (before.split, before.group) != (now.split, now.group):
        raise ValueError(f"{now.path} is there before with another split or group; give it one")
    return replace(before, texts=tuple(dict.fromkeys(before.texts + now.texts)))


def check_pictures(
    pictures: Sequence[Picture], *, progress: bool = False
) -> tuple[list[Picture], list[str], list[Skipped]]:
    """Decode every picture once, so that none can stop the training.

    Returns:
        Those that can be read, a digest of each one's file, and those that cannot.

    Raises:
        InvalidInputError: not one can be read.
    """
    good, digests, skipped = [], [], []
    files = PictureFiles()
    with progress_bar("pictures", len(pictures), enabled=progress) as advance:
        for picture in pictures:
            try:
                files.read(picture)
                digests.append(digest_file(Path(picture.path)))
                good.append(picture)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                missing = isinstance(error, FileNotFoundError)
                reason = "is not there" if missing else "is not a picture that can be read"
                message = f"{picture.path!r} {reason}; pictures are files such as jpg, png or webp"
                skipped.append(Skipped(picture.path, type(error).__name__, message))
            advance(1)
    if not good:
        raise InvalidInputError(
            f"none of {len(pictures)} pictures can be read; the first: {skipped[0].message}"
        )
    return good, digests, skipped


def split_pictures(
    pictures: Sequence[Picture], digests: Sequence[str], seed: int
) -> tuple[list[str], list[str]]:
    """Give each picture its split: `train`, `val` or `test`.

    Where the data say nothing of `val`, whole sources (see `sources_of`) are taken from `train`: a
    tenth of them, and `MOST_VAL` at most.

    Returns:
        A split a picture, and what a reader of the figures should know.

    Raises:
        InvalidInputError: some have a split and others none, none are for training, or there are
            too few sources.
    """
    given = [picture.split for picture in pictures]
    if any(given) and not all(given):
        where = next(picture.path for picture in pictures if picture.split is None)
        raise InvalidInputError(
            f"{where} has no split and others have one; give all a split, or none"
        )
    splits = [split or "train" for split in given]
    examples = [Example(picture.path, (), group=picture.group) for picture in pictures]
    sources = sources_of(examples, digests)
    notes = []
    if "val" not in splits:
        own = np.unique(sources[[split == "train" for split in splits]])
        if len(own) < 2:
            raise InvalidInputError(
                f"too few pictures: train has {len(own)} sources (files or groups), at least 2 are "
                "needed, one of them to validate"
            )
        number = min(max(1, round(VAL_SHARE * len(own))), MOST_VAL)
        held = set(np.random.default_rng(seed).permutation(own)[:number].tolist())
        splits = [
            "val" if split == "train" and source in held else split
            for split, source in zip(splits, sources.tolist(), strict=True)
        ]
        if any(given):
            notes.append("no picture has the split val; it was taken from train")
    if "train" not in splits:
        raise InvalidInputError("no picture has the split train; nothing can be learned")
    sides: dict[int, set[str]] = {}
    for source, split in zip(sources.tolist(), splits, strict=True):
        sides.setdefault(source, set()).add(split)
    if torn := sum({"train", "val"} <= side for side in sides.values()):
        notes.append(
            f"{torn} sources (groups or copies) are in train and in val, as the split column "
            "says: figures are too good"
        )
    return splits, notes
