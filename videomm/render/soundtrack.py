"""The sound of a video at given times, to the sample; what does not decode is silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from videomm.types import Array
from videomm.video.containers import open_container

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

# Rates that every browser plays; others become 48 kHz.
_KEPT_RATES = (32_000, 44_100, 48_000)
_USUAL_RATE = 48_000
# Decoding starts this much earlier, so that codecs with memory have settled.
_RUN_UP_SECONDS = 1.0
# Timestamps may be this far off before a gap is believed.
_GAP_SECONDS = 0.03
_FADE_SECONDS = 0.005
_MOST_PACKETS_TO_TRY = 500


def open_soundtrack(path: str, start_seconds: float) -> tuple[Soundtrack | None, str]:
    """The sound of a file, or None and why there is none worth a track.

    Args:
        path: the video.
        start_seconds: the container's time of the first displayed frame, which is time 0.

    Returns:
        The soundtrack or None, and a warning or an empty text; a video without any sound has
        neither.
    """
    with open_container(path) as (container, _):
        streams = container.streams.audio
        if not streams:
            return None, ""
        best: Any = container.streams.best("audio") or streams[0]
        frame = _first_frame(container, best)
        if frame is None or not frame.sample_rate:
            return None, "the sound cannot be decoded: the reel has none"
        rate = frame.sample_rate if frame.sample_rate in _KEPT_RATES else _USUAL_RATE
        layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
        return Soundtrack(path, best.index, start_seconds, rate, layout), ""


def _first_frame(container: Any, stream: Any) -> AudioFrame | None:
    import av

    if stream.codec_context is None:
        return None
    packets = container.demux(stream)
    for _ in range(_MOST_PACKETS_TO_TRY):
        try:
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else []
        except (av.error.FFmpegError, ValueError, OSError):
            packets = container.demux(stream)
            continue
        if frames:
            first: AudioFrame = frames[0]
            return first
        if packet is None:
            return None
    return None


class Soundtrack:
    """Reads stretches of one audio stream.

    Attributes:
        rate: samples a second that `read` gives.
        layout: `mono` or `stereo`.
    """

    def __init__(self, path: str, index: int, start_seconds: float, rate: int, layout: str) -> None:
        self.rate, self.layout = rate, layout
        self._path, self._index, self._start = path, index, start_seconds
        self._files = ExitStack()
        self._container, _ = self._files.enter_context(open_container(path))

    @property
    def channels(self) -> int:
        return 1 if self.layout == "mono" else 2

    def close(self) -> None:
        """Close the file."""
        self._files.close()

    def read(self, start: float, count: int) -> Array:
        """`count` samples from `start` seconds on: float32 (channels, count), silence for gaps."""
        out = np.zeros((self.channels, count), np.float32)
        end = start + count / self.rate
        early = max(start - _RUN_UP_SECONDS, 0.0)
        late = self._fill(out, start, end, early)
        if late and early > 0:
            # Not every container finds its place; then from the beginning.
            self._fill(out, start, end, 0.0)
        return out

    def soften(self, samples: Array, *, head: bool, tail: bool) -> None:
        """Fade the first or last milliseconds, in place, so that a cut does not click."""
        count = min(round(_FADE_SECONDS * self.rate), samples.shape[1] // 2)
        ramp = np.linspace(0, 1, count, dtype=np.float32)
        if head and count:
            samples[:, :count] *= ramp
        if tail and count:
            samples[:, -count:] *= ramp[::-1]

    def _fill(self, out: Array, start: float, end: float, position: float) -> bool:
        """Write what is heard from `start` to `end`; tell whether decoding began too late."""
        first_time: float | None = None
        for time, samples in self._runs(position, end):
            if first_time is None:
                first_time = time
            place = round((time - start) * self.rate)
            skip, room = max(-place, 0), out.shape[1] - max(place, 0)
            piece = samples[:, skip : skip + max(room, 0)]
            at = max(place, 0)
            out[:, at : at + piece.shape[1]] = piece
        return first_time is None or first_time > start + _GAP_SECONDS

    def _runs(self, position: float, end: float) -> Iterator[tuple[float, Array]]:
        """Pieces of sound with their times; pieces without a gap follow on to the sample."""
        import av

        run_start, written, expected, resampler = 0.0, 0, -np.inf, None
        for frame in self._frames(position):
            time = frame.time - self._start
            if time >= end:
                break
            if resampler is None or abs(time - expected) > _GAP_SECONDS:
                resampler = av.AudioResampler("fltp", self.layout, self.rate)
                run_start, written = time, 0
            expected = time + frame.samples / frame.sample_rate
            try:
                parts = [part.to_ndarray() for part in resampler.resample(frame)]
            except (av.error.FFmpegError, ValueError):
                # The stream's format changes here.
                resampler = None
                continue
            for samples in parts:
                yield run_start + written / self.rate, samples
                written += samples.shape[1]

    def _frames(self, position: float) -> Iterator[Any]:
        """Decoded frames with timestamps from about `position` seconds on; damage is skipped."""
        import av

        try:
            self._container.seek(int((position + self._start) * 1_000_000))
        except (av.error.FFmpegError, OSError):
            self._files.close()
            self._container, _ = self._files.enter_context(open_container(self._path))
        stream: Any = self._container.streams[self._index]
        packets = self._container.demux(stream)
        failures = 0
        while failures < _MOST_PACKETS_TO_TRY:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError, OSError):
                failures += 1
                packets = self._container.demux(stream)
                continue
            for frame in frames:
                if frame.pts is not None and frame.time_base and frame.sample_rate:
                    yield frame
