"""What every decoder here yields, and the rules of time and size that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]

# Times are compared to the nanosecond, so that k * (1 / fps), which floating point may put
# just under a frame's own time, still means that frame.
TIME_TOLERANCE = 1e-9

# A step of more than a day between two frames is a damaged timestamp, not a pause.
MAX_GAP_SECONDS = 86_400.0


@dataclass(frozen=True)
class Shown:
    """One frame and how many of the requested times it answers.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, or None where no frame can be had for these times.
        time: seconds from the first displayed frame.
        count: how many consecutive requested times it stands for, at least 1.
    """

    pixels: Pixels | None
    time: float
    count: int


class Decoder(Protocol):
    """One way to decode one file in this process.

    Attributes:
        complete: False once a requested time had no frame because the file is damaged.
        warnings: what went wrong so far, one line each.
    """

    complete: bool
    warnings: list[str]

    def shown_at(self, times: FloatArray, stop: Callable[[], bool]) -> Iterator[Shown]:
        """The frames on screen at ascending `times` (seconds); their counts add up to N.

        Ends early, without the rest, once `stop()` is true.
        """


def seconds_of(ticks: int, time_base: Fraction) -> float:
    """Ticks as seconds, rounded once, so that equal instants give equal floats."""
    return ticks * time_base.numerator / time_base.denominator


def all_seconds_of(ticks: IntArray, time_base: Fraction) -> FloatArray:
    """`seconds_of` for an array, (N,) to float64 (N,)."""
    seconds: FloatArray = ticks * time_base.numerator / time_base.denominator
    return seconds


def scaled_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Width and height once the shorter side is `short_side` pixels; never enlarged."""
    shorter = min(width, height)
    if short_side is None or short_side >= shorter:
        return width, height
    return (
        max(1, round(width * short_side / shorter)),
        max(1, round(height * short_side / shorter)),
    )


def index_shown_at(shown: FloatArray, times: FloatArray) -> IntArray:
    """For each time the index of the latest of the ascending `shown` times at or before it."""
    found = np.searchsorted(shown, times + TIME_TOLERANCE, side="right") - 1
    return np.maximum(found, 0).astype(np.int64)


class FrameClock:
    """Turns decoded frames' timestamps into ticks that never run backwards.

    Frames without a timestamp follow the one before by one step. A jump back of more than
    a second (streams joined end to end) goes on from where the first part ended; a smaller
    one puts the frame in the place of the one before.
    """

    def __init__(self, time_base: Fraction, step: int) -> None:
        self._step = max(1, step)
        self._far_back = max(int(1 / time_base), 20 * self._step)
        self._max_gap = int(MAX_GAP_SECONDS / time_base)
        self._offset = 0
        self._last: int | None = None
        self.guessed = 0
        self.jumps = 0

    def tick(self, pts: int | None, dts: int | None) -> int:
        """The next displayed frame's time in ticks."""
        stamp = pts if pts is not None else dts
        if self._last is None:
            self._last = stamp if stamp is not None else 0
            self.guessed += stamp is None
            return self._last
        if stamp is None or abs(stamp + self._offset - self._last) > self._max_gap:
            self.guessed += 1
            self._last += self._step
            return self._last
        now = stamp + self._offset
        if now < self._last - self._far_back:
            self.jumps += 1
            self._offset += self._last + self._step - now
            now = self._last + self._step
        self._last = max(now, self._last)
        return self._last
