"""Fast decoding with decord, for the files on which the probe proves it exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from videomm.video.frames_shown import FloatArray, Shown, index_shown_at, scaled_size

if TYPE_CHECKING:
    from videomm.video.probe import VideoProbe

# decord gives times in single precision; frames are never this close.
_SAME_TIME_SECONDS = 2e-3

_THREADS = 2


class DecordDecoder:
    """Decodes one probed file with decord in this process; see `frames_shown.Decoder`.

    decord counts frames in display order; times here come from the packet scan, never from
    decord. Its reader is made and dropped in the thread that iterates.
    """

    def __init__(self, probe: VideoProbe, short_side: int | None = None) -> None:
        self.complete = True
        self.warnings: list[str] = []
        self._probe = probe
        info = probe.info
        self._size = scaled_size(info.width, info.height, short_side)

    def shown_at(self, times: FloatArray, stop: Callable[[], bool]) -> Iterator[Shown]:
        """The frames on screen at ascending `times`; see `frames_shown.Decoder`.

        Where decord fails on the way, PyAV gives the rest.
        """
        import decord

        shown = self._probe.scan.shown_seconds(self._probe.start_ticks)
        wanted, counts = np.unique(index_shown_at(shown, times), return_counts=True)
        done = 0
        try:
            reader = _open(self._probe.info.path, *self._size)
            for index, count in zip(wanted.tolist(), counts.tolist(), strict=True):
                if stop():
                    return
                pixels = reader.get_batch([index]).asnumpy()[0]
                yield Shown(pixels, float(shown[index]), count)
                done += count
        except (decord.DECORDError, RuntimeError, ValueError) as error:
            yield from self._rest_with_pyav(times[done:], stop, error)

    def _rest_with_pyav(
        self, times: FloatArray, stop: Callable[[], bool], error: Exception
    ) -> Iterator[Shown]:
        from videomm.video.pyav_decoder import PyavDecoder

        first_line = str(error).strip().splitlines()[0][:120] if str(error).strip() else ""
        self.warnings.append(f"decord failed ({first_line}); PyAV decoded the rest")
        width, height = self._size
        rest = PyavDecoder(self._probe, min(width, height))
        yield from rest.shown_at(times, stop)
        self.complete = rest.complete
        self.warnings.extend(rest.warnings)


def missing_reason() -> str:
    """Why decord cannot be imported here; empty where it can."""
    # decord exports the symbols of the FFmpeg and libvpx that it brings along. PyAV must have
    # bound its own before that: the other way round its VP8 and VP9 fail or hang.
    import av  # noqa: F401

    try:
        import decord  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        return f"decord is not installed ({type(error).__name__})"
    return ""


def index_problem(probe: VideoProbe) -> str:
    """How decord's own list of frames differs from the packet scan; empty where it agrees."""
    import decord

    shown = probe.scan.shown_seconds(probe.start_ticks)
    info = probe.info
    try:
        # A thumbnail: opening starts decord's own thread, which decodes at this size.
        reader = _open(info.path, *scaled_size(info.width, info.height, _DECORD_THUMBNAIL))
        count = len(reader)
        if count != len(shown):
            return f"it counts {count} frames instead of {len(shown)}"
        listed = np.asarray(reader.get_frame_timestamp(range(count)), dtype=np.float64)[:, 0]
    except (decord.DECORDError, RuntimeError, ValueError):
        return "it cannot open the file"
    if np.abs(listed - shown).max() > _SAME_TIME_SECONDS:
        return "its frame times differ from the container's"
    return ""


_DECORD_THUMBNAIL = 18


def _open(path: str, width: int, height: int) -> Any:
    import decord

    return decord.VideoReader(
        path, ctx=decord.cpu(0), width=width, height=height, num_threads=_THREADS
    )
