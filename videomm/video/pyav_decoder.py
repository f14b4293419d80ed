"""Exact decoding with PyAV: one pass over the file, or entered at proven key frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from videomm.video.colour import RgbConverter
from videomm.video.containers import open_container, packets_until_damage
from videomm.video.frames_shown import (
    TIME_TOLERANCE,
    FloatArray,
    FrameClock,
    IntArray,
    Shown,
    index_shown_at,
    scaled_size,
    seconds_of,
)
from videomm.video.probe import VideoProbe

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# More decoding threads than this only add frames in flight, each of them memory.
_MAX_THREADS = 8

# Reading on over this many unwanted packets is cheaper than emptying the decoder and seeking.
_SEEK_OVER_PACKETS = 48


class PyavDecoder:
    """Decodes one probed file with PyAV in this process; see `frames_shown.Decoder`."""

    def __init__(self, probe: VideoProbe, short_side: int | None = None) -> None:
        self.complete = True
        self.warnings: list[str] = []
        self._damaged: set[int | None] = set()
        self._probe = probe
        info = probe.info
        self._converter = RgbConverter(*scaled_size(info.width, info.height, short_side))

    def shown_at(self, times: FloatArray, stop: Callable[[], bool]) -> Iterator[Shown]:
        """The frames on screen at ascending `times`; see `frames_shown.Decoder`."""
        done = 0
        if not self._probe.scan.unproven:
            for shown in self._by_key_frames(times, stop):
                yield shown
                done += shown.count
        if done < len(times) and not stop():
            yield from self._in_one_pass(times[done:], stop)
        if self._damaged:
            # Errors in one picture are passed on to those that are predicted from it.
            self.complete = False
            self.warnings.append(
                f"{len(self._damaged)} frames were decoded with errors: "
                "their pictures, and some that follow them, may be wrong"
            )

    def _rgb(self, frame: VideoFrame, time: float, count: int) -> Shown:
        probe = self._probe
        pixels = self._converter.convert(frame, probe.info.rotation, probe.mirrored)
        return Shown(pixels, time, count)

    # -- one pass ---------------------------------------------------------------------------

    def _in_one_pass(self, times: FloatArray, stop: Callable[[], bool]) -> Iterator[Shown]:
        """Decode from the first packet on.

        With frame threads FFmpeg may lose good frames next to one that fails, so the first
        failure starts the pass again without them; what was already given stays given. A file
        known to be cut off begins without, but for transport streams: a lost packet is common
        there and rarely makes one fail.
        """
        probe, done = self._probe, 0
        for threaded in (not probe.scan.cut_off or probe.info.container == "mpegts", False):
            done += yield from self._pass(times[done:], stop, threaded)
            if done == len(times) or not threaded or stop():
                return

    def _pass(
        self, times: FloatArray, stop: Callable[[], bool], threaded: bool
    ) -> Generator[Shown, None, int]:
        """One decoding pass; returns how many times it answered, short where it gave up."""
        run = _Pass(self._probe, threaded)
        held: VideoFrame | None = None
        held_time, given = 0.0, 0
        for frame, time in run.frames(stop):
            if frame.is_corrupt:
                self._damaged.add(frame.pts)
            upto = int(np.searchsorted(times, time - TIME_TOLERANCE, side="left"))
            if upto > given and held is not None:
                end = run.lost_from(time)
                for shown in self._answer(held, held_time, times[given:upto], end):
                    yield shown
                    given += shown.count
            if given == len(times):
                self._tell(run)
                return given
            held, held_time = frame, time
        if stop() or run.must_restart:
            return given
        if run.tail_lost(True):
            decoded = held_time + run.last_step_seconds
            self.warnings.append(f"decoded {decoded:.1f} s of {self._probe.info.duration:.1f} s")
        self._tell(run)
        end = held_time + run.last_step_seconds if run.tail_lost(held is not None) else np.inf
        if held is not None:
            for shown in self._answer(held, held_time, times[given:], end):
                yield shown
                given += shown.count
        elif given < len(times):
            self.complete = False
            yield Shown(None, float("nan"), len(times) - given)
        return len(times)

    def _answer(
        self, frame: VideoFrame, time: float, times: FloatArray, end: float
    ) -> Iterator[Shown]:
        """The frame for the times before `end`; nothing for those at or after it."""
        near = int(np.searchsorted(times, end - TIME_TOLERANCE, side="left"))
        if near:
            yield self._rgb(frame, time, near)
        if near < len(times):
            self.complete = False
            yield Shown(None, float("nan"), len(times) - near)

    def _tell(self, run: _Pass) -> None:
        if run.failures:
            self.warnings.append(f"{run.failures} packets could not be decoded")
        if run.clock.jumps:
            self.warnings.append(f"times jump back {run.clock.jumps} times; joined end to end")
        if run.resized:
            self.warnings.append(
                "the picture size changes on the way; all frames are scaled to the first size"
            )

    # -- key frames -------------------------------------------------------------------------

    def _by_key_frames(self, times: FloatArray, stop: Callable[[], bool]) -> Iterator[Shown]:
        """Decode only the GOPs that hold a wanted frame.

        Every frame is known by its timestamp from the scan. Where the stream does not keep
        to it, this ends early and one pass takes over.
        """
        probe = self._probe
        shown = np.sort(probe.scan.pts)
        wanted, counts = np.unique(
            index_shown_at(probe.scan.shown_seconds(probe.start_ticks), times), return_counts=True
        )
        pending = list(zip(shown[wanted].tolist(), counts.tolist(), strict=True))
        decoding = _KeyFrameRun(probe, np.asarray(shown[wanted]))
        frames = decoding.frames(stop, self._damaged)
        for frame, (ticks, count) in zip(frames, pending, strict=False):
            if frame.pts != ticks:
                return  # a wanted frame did not come: no longer proven
            time = seconds_of(ticks - probe.start_ticks, probe.scan.time_base)
            yield self._rgb(frame, time, count)


class _Pass:
    """One run from the first packet to the last, with its clock and its losses."""

    def __init__(self, probe: VideoProbe, threaded: bool) -> None:
        scan = probe.scan
        self.clock = FrameClock(scan.time_base, scan.step)
        self.last_step_seconds = seconds_of(scan.last_step, scan.time_base)
        self.failures = 0
        self.resized = False
        self.must_restart = False
        self._probe = probe
        self._threaded = threaded
        self._last = 0
        self._before = 0
        self._expected: IntArray | None = None

    def tail_lost(self, any_frame: bool) -> bool:
        """Whether frames at the end of the video did not decode."""
        if not any_frame:
            return True
        scan = self._probe.scan
        missing = self._probe.end_ticks - (self._last + scan.last_step)
        # Half a frame: two fields of one frame may come as two packets.
        slack = scan.step if self.failures or scan.cut_off else 2 * scan.step
        return missing > slack * 0.75

    def frames(self, stop: Callable[[], bool]) -> Iterator[tuple[VideoFrame, float]]:
        """Frames in display order with their seconds from the first displayed one."""
        start: int | None = None
        size: tuple[int, int] | None = None
        for frame in self._decoded(stop):
            self._before = self._last
            self._last = self.clock.tick(frame.pts, frame.dts)
            start = self._last if start is None else start
            size = size or (frame.width, frame.height)
            self.resized |= size != (frame.width, frame.height)
            yield frame, seconds_of(self._last - start, self._probe.scan.time_base)

    def lost_from(self, time: float) -> float:
        """When the first frame that failed to decode between the last two should have come.

        Args:
            time: of the last frame, in seconds.

        Returns:
            Seconds; `time` itself where nothing was lost.
        """
        if not self.failures:
            return time
        if self._expected is None:
            self._expected = np.sort(self._probe.scan.pts)
        after = int(np.searchsorted(self._expected, self._before, side="right"))
        if after < len(self._expected) and self._expected[after] < self._last:
            ticks = int(self._expected[after]) - self._probe.start_ticks
            return seconds_of(ticks, self._probe.scan.time_base)
        return time

    def _decoded(self, stop: Callable[[], bool]) -> Iterator[VideoFrame]:
        import av

        with open_container(self._probe.info.path) as (container, stream):
            set_threads(stream, self._threaded)
            for packet in packets_until_damage(container, stream):
                if stop():
                    return
                broken = isinstance(packet, Exception)
                self.failures += broken
                try:
                    decoded = stream.codec_context.decode(None if broken else packet)  # type: ignore[arg-type]
                except (av.error.FFmpegError, ValueError, MemoryError):
                    self.failures += 1
                    if self._threaded:
                        self.must_restart = True
                        return
                    continue
                yield from decoded


class _KeyFrameRun:
    """Decodes the GOPs of wanted frames, jumping over the others."""

    def __init__(self, probe: VideoProbe, wanted: IntArray) -> None:
        self._probe = probe
        scan = probe.scan
        self._wanted = set(wanted.tolist())
        key_pts = scan.pts[scan.keys]
        gop_of_wanted = np.searchsorted(key_pts, wanted, side="right") - 1
        self._gops = np.unique(gop_of_wanted).tolist()
        self._key_pts: list[int] = key_pts.tolist()
        self._key_at: list[int] = scan.keys.tolist()
        counts = np.bincount(gop_of_wanted, minlength=len(key_pts))
        self._wanted_in_gop: list[int] = counts.tolist()

    def frames(self, stop: Callable[[], bool], damaged: set[int | None]) -> Iterator[VideoFrame]:
        """The wanted frames in display order; times of any that are flawed go to `damaged`."""
        import av

        try:
            for frame in self._decoded(stop):
                if frame.is_corrupt:
                    damaged.add(frame.pts)
                if frame.pts in self._wanted:
                    yield frame
        except (av.error.FFmpegError, ValueError):
            return

    def _decoded(self, stop: Callable[[], bool]) -> Iterator[VideoFrame]:
        with open_container(self._probe.info.path) as (container, stream):
            set_threads(stream, True)
            # Only H.264 marks each picture that no other refers to (nal_ref_idc); any other
            # codec decodes its whole GOP.
            skipping = self._probe.info.codec == "h264"
            context: Any = stream.codec_context
            position = 0  # of the next packet in decode order
            packets = container.demux(stream)
            for gop in self._gops:
                first = self._key_at[gop]
                if first - position > _SEEK_OVER_PACKETS:
                    yield from context.decode(None)
                    container.seek(self._key_pts[gop], stream=stream, backward=True)
                    packets = container.demux(stream)
                    position = -1  # unknown until the key packet comes
                left = self._wanted_in_gop[gop]
                entered = False
                for packet in packets:
                    if stop() or packet.size == 0:
                        break
                    position += 1
                    if not entered:
                        if packet.pts != self._key_pts[gop]:
                            continue
                        entered, position = True, first + 1
                    wanted = packet.pts in self._wanted
                    if skipping:
                        context.skip_frame = "DEFAULT" if wanted else "NONREF"
                    yield from context.decode(packet)
                    left -= wanted
                    if left == 0:
                        break
                if stop() or left:
                    return
            yield from context.decode(None)


def set_threads(stream: Any, threaded: bool) -> None:
    """Decode with up to `_MAX_THREADS` frame and slice threads, or with one thread."""
    stream.thread_type = "AUTO" if threaded else "NONE"
    stream.codec_context.thread_count = min(_MAX_THREADS, os.cpu_count() or 1) if threaded else 1
