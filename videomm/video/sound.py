"""The sound of a video as a speech model takes it, on the video's clock; runs in the decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from videomm.types import VideoInfo
from videomm.video.containers import open_container

RATE = 16_000
# Timestamps may be this far off before a gap is believed.
_GAP = RATE // 10
_CHUNK = RATE * 10


def decode_sound(info: VideoInfo, stop: Callable[[], bool]) -> Iterator[bytes]:
    """Mono 16-bit samples at `RATE`, from the first displayed frame to the video's end.

    Gaps and what does not decode are silence; a video without sound gives nothing.

    Args:
        info: of the video, whose `path` is read.
        stop: whether the samples are no longer wanted.
    """
    import av

    most = round(info.duration * RATE)
    written = 0
    with open_container(info.path) as (container, _):
        stream: Any = container.streams.best("audio")
        if stream is None or stream.codec_context is None:
            return
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in _frames(container, stream):
            if stop() or written >= most:
                return
            samples = b"".join(part.to_ndarray().tobytes() for part in resampler.resample(frame))
            if frame.pts is not None:
                place = round((float(frame.pts * frame.time_base) - info.start_seconds) * RATE)
                if place < 0 and not written:
                    # Before the first picture: two bytes a sample.
                    samples = samples[-2 * place :]
                elif place > written + _GAP:
                    silence = min(place, most) - written
                    for start in range(0, silence, _CHUNK):
                        yield bytes(2 * min(_CHUNK, silence - start))
                    written += silence
            samples = samples[: 2 * (most - written)]
            written += len(samples) // 2
            if samples:
                yield samples


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames, stepping over packets that fail."""
    import av

    try:
        for packet in container.demux(stream):
            try:
                yield from stream.codec_context.decode(packet)
            except (av.error.FFmpegError, ValueError, MemoryError):
                continue
    except (av.error.FFmpegError, OSError, ValueError):
        return
