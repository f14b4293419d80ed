"""The chosen stretches as one video with their sound: H.264 and AAC, ready for browsers.

Every frame that is on screen during a stretch is kept at its own time, counted from the stretch's
start; sound is cut at the same instants to the sample. Besides `videomm/video` this is the only
module that uses PyAV, since it encodes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np

from videomm.config import DecodingConfig
from videomm.errors import DamagedVideoError, InstallationError, InvalidInputError
from videomm.progress import progress_bar
from videomm.render.soundtrack import Soundtrack, open_soundtrack
from videomm.types import Array, Segment
from videomm.video.containers import open_container
from videomm.video.reader import VideoReader, open_video

# Larger pictures are shrunk to this many pixels on their shorter side.
MOST_SHORT_SIDE = 1080
MOST_FRAMES_A_SECOND = 60
_TIME_BASE = Fraction(1, 90_000)
_USUAL_RATE = Fraction(25)
# Without B-frames decoding order is display order, so that every player starts at the first frame.
_OPTIONS = {"preset": "veryfast", "crf": "21", "bf": "0"}
_BT709 = 1  # as ISO/IEC 23091-2 numbers matrix, primaries and transfer alike
_LIMITED_RANGE = 1
_SOUND_CHUNK_SECONDS = 20.0


def write_reel(
    path: str,
    segments: Sequence[Segment],
    target: str | os.PathLike[str],
    decoding: DecodingConfig | None = None,
    *,
    progress: bool = True,
) -> list[str]:
    """Cut stretches out of a video, put them one after the other, and encode them as MP4.

    Args:
        path: the video.
        segments: in order of time.
        target: the file to write, anew.
        decoding: decoder and deadlines.
        progress: draw a progress bar on stderr where that is a terminal.

    Returns:
        What a viewer should know, such as sound that does not decode.

    Raises:
        VideoError: the video cannot be read, or nothing of the stretches decodes.
        InstallationError: this PyAV has no H.264 or AAC encoder.
        InvalidInputError: the file cannot be written.
    """
    import av

    warnings: list[str] = []
    try:
        with open_video(path, decoding or DecodingConfig()) as reader:
            facts = _Facts(path, reader.info.start_seconds, reader.info.rotation)
            soundtrack, problem = open_soundtrack(path, reader.info.start_seconds)
            warnings += [problem] if problem else []
            try:
                with av.open(
                    os.fspath(target), "w", format="mp4", options={"movflags": "+faststart"}
                ) as container:
                    writer = _Writer(container, facts, soundtrack)
                    title = f"{os.path.basename(path)} reel"
                    with progress_bar(title, len(segments), enabled=progress) as advance:
                        for segment in segments:
                            writer.add(reader, segment)
                            advance(1)
                    writer.finish(path)
            finally:
                if soundtrack is not None:
                    soundtrack.close()
    except av.codec.codec.UnknownCodecError as error:
        raise InstallationError(
            f"this PyAV has no encoder for the reel ({error}); install the wheel from PyPI, or "
            "leave the reel out with --no-reel"
        ) from error
    except av.error.FFmpegError as error:
        raise InvalidInputError(
            f"the reel of {path!r} cannot be written: {error}; leave it out with --no-reel"
        ) from error
    return warnings


class _Facts:
    """What the packets say: when frames are shown, how fast, and the shape of a pixel.

    Attributes:
        times: float64 (N,), seconds from the first displayed frame; empty where packets have none.
        rate: frames a second, at most `MOST_FRAMES_A_SECOND`.
        pixel_aspect: width of a pixel by its height, as displayed.
    """

    def __init__(self, path: str, start_seconds: float, rotation: int) -> None:
        import av

        stamps: list[int] = []
        with open_container(path) as (container, stream):
            base = stream.time_base or _TIME_BASE
            rate = stream.average_rate or stream.guessed_rate or _USUAL_RATE
            aspect = stream.sample_aspect_ratio or Fraction(1)
            # Damage ends the list early; what it lacks is filled in at the usual rate.
            with suppress(av.error.FFmpegError, OSError, ValueError):
                stamps = [p.pts for p in container.demux(stream) if p.pts is not None]
        self.rate = min(Fraction(rate), Fraction(MOST_FRAMES_A_SECOND))
        if self.rate < 1:
            self.rate = Fraction(1)
        self.pixel_aspect = aspect if aspect > 0 else Fraction(1)
        if rotation % 180:
            self.pixel_aspect = 1 / self.pixel_aspect
        seconds = np.unique(np.array(stamps, np.float64)) * float(base) - start_seconds
        self.times = seconds[seconds > -1e-6].clip(min=0)

    def within(self, start: float, end: float) -> Array:
        """Times at which frames appear in `[start, end)`, `start` first."""
        inside = self.times[(self.times > start + 1e-6) & (self.times < end - 1e-6)]
        if not len(inside) and not (len(self.times) and self.times[-1] >= end):
            # No timestamps, or none this far in.
            inside = np.arange(start, end - 1e-6, 1 / float(self.rate))[1:]
        kept, last = [start], start
        for time in inside.tolist():
            # A little slack: at 60 frames a second some are 16 ms after the one before.
            if time - last >= 0.9 / MOST_FRAMES_A_SECOND:
                kept.append(time)
                last = time
        return np.array(kept)


class _Writer:
    """Encodes stretches one after the other into an open container."""

    def __init__(self, container: Any, facts: _Facts, soundtrack: Soundtrack | None) -> None:
        self._container, self._facts, self._soundtrack = container, facts, soundtrack
        self._video: Any = container.add_stream("libx264", rate=facts.rate, options=_OPTIONS)
        self._audio: Any = None
        if soundtrack is not None:
            self._audio = container.add_stream("aac", rate=soundtrack.rate)
            self._audio.layout = soundtrack.layout
            self._audio.bit_rate = 128_000
        self._offset = 0.0
        self._last_pts = -1
        self._samples = 0
        self._rest: Array | None = None
        self._durations: dict[int, int] = {}
        self._started = False

    def add(self, reader: VideoReader, segment: Segment) -> None:
        """Encode one stretch; one of which no frame decodes is left out."""
        pictures = _pictures(reader, self._facts.within(segment.start, segment.end))
        first = next(pictures, None)
        if first is None or segment.end <= segment.start:
            return
        length = segment.end - segment.start
        if not self._started:
            self._start(first[1])
        held, fresh = first, True
        for following in pictures:
            self._encode(held, segment.start, following[0] - segment.start, fresh)
            held, fresh = following, False
        self._encode(held, segment.start, length, fresh)
        self._add_sound(segment)
        self._offset += length

    def _start(self, pixels: Array) -> None:
        height, width, _ = pixels.shape
        context = self._video.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = _TIME_BASE
        context.sample_aspect_ratio = self._facts.pixel_aspect
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        context.gop_size = max(2, round(2 * float(self._facts.rate)))
        self._started = True

    def _encode(
        self, picture: tuple[float, Array], start: float, until: float, first: bool
    ) -> None:
        """Encode a frame that is shown from its own time to `until` seconds of the stretch."""
        import av

        time, pixels = picture
        shown = max(time - start, 0.0)
        pts = max(round((self._offset + shown) / _TIME_BASE), self._last_pts + 1)
        end = round((self._offset + until) / _TIME_BASE)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", interpolation="BICUBIC"
        )
        frame.colorspace = _BT709
        frame.color_range = _LIMITED_RANGE
        frame.pts, frame.time_base = pts, _TIME_BASE
        if first:
            frame.pict_type = av.video.frame.PictureType.I
        self._last_pts = pts
        self._durations[pts] = max(end - pts, 1)
        self._mux_video(self._video.encode(frame))

    def _mux_video(self, packets: list[Any]) -> None:
        for packet in packets:
            if packet.pts is not None and packet.time_base == _TIME_BASE:
                packet.duration = self._durations.pop(packet.pts, packet.duration or 0)
            self._container.mux(packet)

    def _add_sound(self, segment: Segment) -> None:
        if self._soundtrack is None:
            return
        rate = self._soundtrack.rate
        begin, end = round(self._offset * rate), 0
        length = segment.end - segment.start
        at = 0.0
        while at < length - 1e-9:
            until = min(at + _SOUND_CHUNK_SECONDS, length)
            end = round((self._offset + until) * rate)
            samples = self._soundtrack.read(segment.start + at, end - begin)
            self._soundtrack.soften(samples, head=at == 0.0, tail=until >= length)
            self._encode_sound(samples)
            begin, at = end, until

    def _encode_sound(self, samples: Array, last: bool = False) -> None:
        import av

        assert self._soundtrack is not None
        if self._rest is not None:
            samples = np.concatenate((self._rest, samples), axis=1)
        size = 1024
        whole = samples.shape[1] if last else samples.shape[1] // size * size
        for start in range(0, whole, size):
            block = np.ascontiguousarray(samples[:, start : min(start + size, whole)])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._soundtrack.layout)
            frame.sample_rate = self._soundtrack.rate
            frame.pts, frame.time_base = self._samples, Fraction(1, self._soundtrack.rate)
            self._samples += block.shape[1]
            self._container.mux(self._audio.encode(frame))
        self._rest = samples[:, whole:]

    def finish(self, path: str) -> None:
        """Write what the encoders still hold.

        Raises:
            DamagedVideoError: no stretch had a frame that decodes.
        """
        if not self._started:
            raise DamagedVideoError(
                f"{path!r}: no frame of the chosen stretches decodes, so there is no reel; leave "
                "it out with --no-reel"
            )
        self._mux_video(self._video.encode(None))
        if self._soundtrack is not None and self._rest is not None:
            self._encode_sound(self._rest[:, :0], last=True)
            self._container.mux(self._audio.encode(None))


def _pictures(reader: VideoReader, times: Array) -> Iterator[tuple[float, Array]]:
    """The frames on screen at ascending times, each once, with true time and even sides."""
    last = -1.0
    short = min(MOST_SHORT_SIDE, reader.info.width, reader.info.height)
    for frames in reader.iter_frames_at(times, short_side=short, batch_size=8):
        for time, pixels in zip(frames.times.tolist(), frames.pixels, strict=True):
            if time > last:
                yield time, _even(pixels)
                last = time


def _even(pixels: Array) -> Array:
    """Without the last row or column where their number is odd: 4:2:0 has none such."""
    height, width, _ = pixels.shape
    if height == 1 or width == 1:
        pixels = np.pad(pixels, ((0, height == 1), (0, width == 1), (0, 0)), mode="edge")
        height, width, _ = pixels.shape
    return np.ascontiguousarray(pixels[: height - height % 2, : width - width % 2])
