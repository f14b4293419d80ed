"""How important people found the time of videos: from a CSV, a JSONL or TVSum's own file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from videomm.errors import InvalidInputError
from videomm.training.labelled import (
    Example,
    LabelledData,
    Row,
    read_rows,
    read_seconds,
    split_and_group,
)
from videomm.types import Array
from videomm.video.paths import videos_below

COLUMNS = ("path", "start", "end", "score", "person", "split", "group")
SHOT = 2.0  # seconds that a score of TVSum stands for, where it does not stand for a frame


@dataclass(frozen=True)
class Rating:
    """What one person said of one video.

    Attributes:
        scores: in order of time; more is more important.
        spans: the seconds `[start, end)` that each stands for; None where they are spread evenly
            over the video, or over shots of `SHOT` seconds.
    """

    scores: tuple[float, ...]
    spans: tuple[tuple[float, float], ...] | None = None

    def at(self, times: Array, duration: float) -> Array:
        """Scores of frames: float64 (N,), NaN where nothing was said.

        Args:
            times: (N,) seconds.
            duration: of the video.
        """
        scores = np.array(self.scores)
        if self.spans is None:
            shots = abs(len(scores) * SHOT - duration) <= SHOT
            length = SHOT if shots else duration / len(scores)
            places = np.floor(times / max(length, 1e-9) + 1e-6).astype(int)
            return np.asarray(scores[places.clip(0, len(scores) - 1)])
        starts, ends = np.array(self.spans).T
        places = np.searchsorted(starts, times + 1e-6, side="right") - 1
        said = (places >= 0) & (times < ends[places])
        return np.where(said, scores[places], np.nan)


@dataclass(frozen=True)
class RatedData:
    """Videos with what people said of them.

    Attributes:
        videos: one example a video, without labels.
        ratings: a video's path to its ratings, one a person.
    """

    videos: LabelledData
    ratings: dict[str, tuple[Rating, ...]]


def read_ratings(path: str | os.PathLike[str]) -> RatedData:
    """Read people's ratings of how important each part of a video is.

    - A CSV or JSONL file has a row a stretch: `path`, `start` and `end` (seconds) and `score`, and
      where you like `person`, `split` and `group`. Relative paths start at the file's folder.
    - A .tsv file is TVSum's (`ydata-tvsum50-anno.tsv`): a row a video and person with the video's
      id, a category, and scores joined by commas, spread evenly over the video. The videos lie
      below the file's folder, as ID.mp4 or with another ending.

    Whether the videos can be read is not looked at here.

    Raises:
        InvalidInputError: the file does not have that form; the message names the line.
    """
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".tsv") or not source.is_file():
        raise InvalidInputError(
            f"{str(path)!r} is no .csv, .jsonl or .tsv file; ratings are a file with path, start, "
            "end and score, or TVSum's .tsv"
        )
    found = _read_tvsum(source) if suffix == ".tsv" else _read_table(source)
    videos = LabelledData(os.fspath(path), tuple(e for e, _ in found), (), multi_label=False)
    return RatedData(videos, {example.path: ratings for example, ratings in found})


Rated = tuple[Example, tuple[Rating, ...]]


def _read_tvsum(source: Path) -> list[Rated]:
    by_id: dict[str, list[Rating]] = {}
    for number, cells in _tab_rows(source):
        try:
            name, _, scores = cells
            by_id.setdefault(name, []).append(Rating(_scores(scores.split(","))))
        except ValueError as error:
            raise InvalidInputError(
                f"{source} line {number}: expected a video's id, a category and scores joined by "
                f"commas, with tabs between, got {chr(9).join(cells)!r:.60}"
            ) from error
    if not by_id:
        raise InvalidInputError(f"{str(source)!r} has no rows; expected one a video and person")
    paths = {Path(video).stem: video for video in videos_below(str(source.parent))}
    return [
        (Example(paths.get(name, str(source.parent / f"{name}.mp4")), ()), tuple(ratings))
        for name, ratings in by_id.items()
    ]


def _tab_rows(source: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{str(source)!r} cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line.split("\t")


def _scores(values: Sequence[object]) -> tuple[float, ...]:
    scores = tuple(float(value) for value in values)  # type: ignore[arg-type]
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"scores must be finite numbers, got {values!r:.60}")
    return scores


def _read_table(source: Path) -> list[Rated]:
    rows = read_rows(source)
    keys = {key for _, row in rows for key in row}
    if not {"path", "start", "end", "score"} <= keys:
        raise InvalidInputError(
            f"{str(source)!r} has {', '.join(sorted(keys)) or 'no rows'}; expected path, start, "
            "end and score, a row a stretch"
        )
    sides: dict[str, tuple[str | None, str | None]] = {}
    said: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for number, row in rows:
        try:
            path, person, stretch, side = _parse_stretch(source.parent, row)
            if sides.setdefault(path, side) != side:
                raise ValueError(f"split and group of {path} differ from an earlier row's")
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"{source} line {number}: {error}") from error
        said.setdefault(path, {}).setdefault(person, []).append(stretch)
    return [
        (Example(path, (), *sides[path]), tuple(_rating(path, s) for s in people.values()))
        for path, people in said.items()
    ]


def _parse_stretch(
    folder: Path, row: Row
) -> tuple[str, str, tuple[float, float, float], tuple[str | None, str | None]]:
    """A row's path, person, `(start, end, score)`, and split and group."""
    path = row.get("path")
    if not isinstance(path, str) or not path:
        raise ValueError(f"path must be a file's name, got {path!r}")
    start, end = read_seconds(row, "start"), read_seconds(row, "end")
    if start is None or end is None or end <= start:
        raise ValueError(f"start and end must be seconds, end after start, got {start} and {end}")
    try:
        (score,) = _scores([row.get("score")])
    except (TypeError, ValueError) as error:
        raise ValueError(f"score must be a number, got {row.get('score')!r}") from error
    person = str(row.get("person", ""))
    return str(folder / path), person, (start, end, score), split_and_group(row)


def _rating(path: str, stretches: Sequence[tuple[float, float, float]]) -> Rating:
    ordered = sorted(stretches)
    for one, other in pairwise(ordered):
        if one[1] > other[0] + 1e-3:
            raise InvalidInputError(
                f"{path}: one person rates {one[0]:g}-{one[1]:g} s and {other[0]:g}-{other[1]:g} s;"
                " stretches must not overlap: tell people apart in a column person"
            )
    return Rating(tuple(s[2] for s in ordered), tuple((s[0], s[1]) for s in ordered))
