"""Videos whose time is labelled: segments from a CSV or JSONL file, and the labels of frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from videomm.errors import InvalidInputError
from videomm.training.labelled import COLUMNS, Example, LabelledData, parse_rows, read_rows
from videomm.types import Array

# Seconds by which segments may overlap, as rounded times do.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class SegmentedData:
    """Videos with their segments.

    Attributes:
        videos: one example a video, whose labels are those of its segments.
        segments: a video's path to its segments in order of time, which do not overlap.
    """

    videos: LabelledData
    segments: dict[str, tuple[Example, ...]]


def read_segments(path: str | os.PathLike[str]) -> SegmentedData:
    """Read labelled segments: a row each in a CSV or JSONL file.

    A row has `path`, `label`, `start` and `end` in seconds (the video's own where they are empty),
    and where you like `split` and `group`, which are the same in all rows of a video. Segments of
    a video do not overlap; they need not cover it. Relative paths start at the file's folder.

    Raises:
        InvalidInputError: the source does not have that form; the message names the line or the
            segments.
    """
    source = Path(path)
    if source.suffix.lower() not in (".csv", ".jsonl") or not source.is_file():
        raise InvalidInputError(
            f"{str(path)!r} is no .csv or .jsonl file; segments are a file with path, start, end "
            "and label, a row a segment"
        )
    rows = read_rows(source)
    keys = {key for _, row in rows for key in row}
    if not {"path", "label"} <= keys or "labels" in keys:
        raise InvalidInputError(
            f"{str(source)!r} has {', '.join(sorted(keys)) or 'no rows'}; expected path, start, "
            "end and label, a row a segment"
        )
    by_path: dict[str, list[Example]] = {}
    for segment in parse_rows(source, rows, multi_label=False):
        by_path.setdefault(segment.path, []).append(segment)
    segments = {name: _in_order(items) for name, items in by_path.items()}
    videos = tuple(_video(items) for items in segments.values())
    labels = tuple(sorted({name for video in videos for name in video.labels}))
    unknown = sorted(keys - set(COLUMNS))
    warnings = (f"columns that mean nothing here: {', '.join(unknown)}",) if unknown else ()
    data = LabelledData(os.fspath(path), videos, labels, multi_label=False, warnings=warnings)
    return SegmentedData(data, segments)


def _in_order(segments: Sequence[Example]) -> tuple[Example, ...]:
    ordered = sorted(segments, key=lambda item: item.start or 0.0)
    for one, other in pairwise(ordered):
        if one.end is None or one.end > (other.start or 0.0) + _ROUNDING:
            raise InvalidInputError(
                f"{other.part} ({other.labels[0]}) begins before {one.part} ({one.labels[0]}) "
                "ends; segments of a video must not overlap"
            )
    return tuple(ordered)


def _video(segments: Sequence[Example]) -> Example:
    first = segments[0]
    for key in ("split", "group"):
        values = {getattr(segment, key) for segment in segments}
        if len(values) > 1:
            shown = ", ".join(sorted(str(value) for value in values))
            raise InvalidInputError(
                f"{first.path} has several values of {key} ({shown}); all rows of a video have one"
            )
    labels = tuple(sorted({segment.labels[0] for segment in segments}))
    return Example(first.path, labels, first.split, first.group)


@dataclass(frozen=True, eq=False)
class FrameTruth:
    """Labels of one video's frames.

    Attributes:
        labels: int64 (N,), places in the names; their number where no segment covers a frame.
        late: segments that begin after the video's end.
        lost: segments that no frame stands for, being shorter than the time between frames.
    """

    labels: Array
    late: tuple[Example, ...]
    lost: tuple[Example, ...]


def find_truth(bounds: Array, segments: Sequence[Example], names: Sequence[str]) -> FrameTruth:
    """The labels of a video's frames: to each that which holds for most of its time.

    Args:
        bounds: float64 (N + 1,), of a timeline.
        segments: of that video, not overlapping.
        names: of the labels; a name that is not among them is an error of the caller's.
    """
    end = float(bounds[-1])
    inside = [segment for segment in segments if (segment.start or 0.0) < end]
    starts, ends = bounds[:-1].copy(), bounds[1:].copy()
    ends[-1] = max(ends[-1], starts[-1] + _ROUNDING)  # the last frame may stand for no time
    columns = []
    for segment in inside:
        # What lasts to the end lasts through the last frame.
        last = np.inf if segment.end is None or segment.end >= end else segment.end
        columns.append(np.minimum(ends, last) - np.maximum(starts, segment.start or 0.0))
    shared = np.clip(np.array([*columns, np.zeros_like(starts)]), 0.0, None)
    shared[-1] = ends - starts - shared.sum(axis=0)
    owner = shared.argmax(axis=0)
    places = {name: place for place, name in enumerate(names)}
    labels = np.array([*(places[segment.labels[0]] for segment in inside), len(names)])[owner]
    return FrameTruth(
        labels=labels,
        late=tuple(segment for segment in segments if segment not in inside),
        lost=tuple(segment for place, segment in enumerate(inside) if place not in owner),
    )
