"""`open_video`: a file's frames at given times, exact, decoded in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from videomm.config import DecodingConfig
from videomm.errors import InvalidInputError
from videomm.types import Frames, VideoInfo
from videomm.video.frames_shown import FloatArray, Pixels, Shown, scaled_size
from videomm.video.paths import check_path
from videomm.video.worker import DecodeWorker, default_worker

Times = Iterable[float]


def open_video(
    path: str | os.PathLike[str],
    config: DecodingConfig = DecodingConfig(),  # noqa: B008 (frozen)
    *,
    worker: DecodeWorker | None = None,
) -> VideoReader:
    """Look at a video file and get ready to read its frames.

    Args:
        path: a local file.
        config: which decoder, and the deadline.
        worker: the decoding process; by default one that the whole process shares.

    Raises:
        VideoError: one of its kinds, each with what was received and what to try.
    """
    name = check_path(path)
    worker = worker or default_worker()
    return VideoReader(worker.probe(name, config), config, worker)


class VideoReader:
    """Frames of one video by time; made by `open_video`.

    May be used from several threads, and several readers may be read in turns.

    Attributes:
        info: the file's facts, with its true duration and the decoder that reads it.
    """

    def __init__(self, info: VideoInfo, config: DecodingConfig, worker: DecodeWorker) -> None:
        self.info = info
        self._config = config
        self._worker = worker
        self._closed = False

    def get_frames_at(self, times: Times, *, short_side: int | None = None) -> Frames:
        """The frames on screen at `times`, all at once.

        Args:
            times: seconds from the first displayed frame, in any order, repeats allowed; a
                time past the end gives the last frame.
            short_side: shrink frames while decoding until the shorter side has this many
                pixels; never enlarged.

        Returns:
            One frame a time, in the order asked for, with its true time. Of a damaged file
            those that cannot be decoded are left out, and `complete` is False.

        Raises:
            InvalidInputError: a time is negative or not a number.
            VideoError: one of its kinds.
        """
        wanted = _check_times(times)
        size = self._check_use(short_side)
        unique, places = np.unique(wanted, return_inverse=True)
        order = np.argsort(places, kind="stable")
        starts = np.searchsorted(places[order], np.arange(len(unique) + 1))
        pixels = np.empty((len(wanted), size[1], size[0], 3), dtype=np.uint8)
        true_times = np.full(len(wanted), np.nan)
        report: dict[str, Any] = {"complete": True, "warnings": []}
        at = 0
        if len(unique):
            for shown in self._worker.decode(self.info, unique, short_side, self._config, report):
                if shown.pixels is not None:
                    rows = order[starts[at] : starts[at + shown.count]]
                    pixels[rows] = shown.pixels
                    true_times[rows] = shown.time
                at += shown.count
        found = ~np.isnan(true_times)
        if not found.all():
            pixels, true_times = pixels[found], true_times[found]
            report["complete"] = False
        return Frames(pixels, true_times, report["complete"], tuple(report["warnings"]))

    def iter_frames_at(
        self, times: Times, *, short_side: int | None = None, batch_size: int = 16
    ) -> Iterator[Frames]:
        """The frames on screen at `times`, in batches, in bounded memory.

        Closing the iterator stops the decoding at once.

        Args:
            times: ascending seconds, repeats allowed.
            short_side: as for `get_frames_at`.
            batch_size: frames a batch; the last one may have fewer.

        Yields:
            Batches that are complete but for the last one, which tells what was lost; it has
            no frames where nothing at all was left to give.

        Raises:
            InvalidInputError: times that descend, are negative or not a number.
            VideoError: one of its kinds, after the frames that came before it.
        """
        wanted = _check_times(times)
        if len(wanted) > 1 and (np.diff(wanted) < 0).any():
            raise InvalidInputError(
                "iter_frames_at takes ascending times; sort them, or use get_frames_at"
            )
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise InvalidInputError(f"batch_size must be an int of at least 1, got {batch_size!r}")
        size = self._check_use(short_side)
        return self._batches(wanted, short_side, batch_size, size)

    def _batches(
        self, times: FloatArray, short_side: int | None, batch_size: int, size: tuple[int, int]
    ) -> Iterator[Frames]:
        if len(times) == 0:
            return
        report: dict[str, Any] = {"complete": True, "warnings": []}
        batch = _Batch(batch_size, size)
        frames = self._worker.decode(self.info, times, short_side, self._config, report)
        lost = False
        try:
            for shown in frames:
                if shown.pixels is None:
                    lost = True
                    continue
                for _ in range(shown.count):
                    # A full batch waits for one more frame, so that the last batch is known.
                    if batch.full:
                        yield batch.take()
                        self._check_use(short_side)
                    batch.add(shown)
        except Exception:
            if len(batch):
                yield batch.take()
            raise
        finally:
            frames.close()
        last = batch.take()
        complete = report["complete"] and not lost
        if len(last) or not complete or report["warnings"]:
            yield replace(last, complete=complete, warnings=tuple(report["warnings"]))

    def _check_use(self, short_side: int | None) -> tuple[int, int]:
        """Width and height of the frames to come, once the request is known to be allowed."""
        if self._closed:
            raise InvalidInputError(f"{self.info.path!r}: this reader is closed; open it again")
        if short_side is not None and (
            isinstance(short_side, bool) or not isinstance(short_side, int) or short_side < 1
        ):
            raise InvalidInputError(
                f"short_side must be an int of at least 1 pixel or None, got {short_side!r}"
            )
        return scaled_size(self.info.width, self.info.height, short_side)

    def close(self) -> None:
        """Forbid further requests; the worker goes on for other readers."""
        self._closed = True

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Batch:
    """Frames gathered up to a number."""

    def __init__(self, limit: int, size: tuple[int, int]) -> None:
        self._limit = limit
        self._size = size
        self._pixels: list[Pixels] = []
        self._times: list[float] = []

    def __len__(self) -> int:
        return len(self._times)

    @property
    def full(self) -> bool:
        return len(self._times) >= self._limit

    def add(self, shown: Shown) -> None:
        assert shown.pixels is not None
        self._pixels.append(shown.pixels)
        self._times.append(shown.time)

    def take(self) -> Frames:
        """What was gathered, as one batch; then start anew."""
        width, height = self._size
        pixels = (
            np.stack(self._pixels)
            if self._pixels
            else np.empty((0, height, width, 3), dtype=np.uint8)
        )
        out = Frames(pixels, np.asarray(self._times, dtype=np.float64))
        self._pixels, self._times = [], []
        return out


def _check_times(times: Times) -> FloatArray:
    """`times` as float64 (N,), or what is wrong with them."""
    try:
        items = times if isinstance(times, np.ndarray) else list(times)
        wanted = np.asarray(items, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"times must be a sequence of seconds, got {times!r:.80}"
        ) from error
    if wanted.ndim != 1:
        raise InvalidInputError(f"times must be one sequence of seconds, got shape {wanted.shape}")
    bad = ~np.isfinite(wanted) | (wanted < 0)
    if bad.any():
        raise InvalidInputError(
            f"times must be finite seconds >= 0, got {wanted[bad][0]}; time 0 is the first frame"
        )
    return wanted
