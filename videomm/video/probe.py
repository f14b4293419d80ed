"""Container facts, and which decoder is exact for a file and why.

Probing reads all packets and decodes the first frames, so it can hang or crash on a hostile
file just as decoding can: the reader runs it inside the worker.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from videomm.config import DecodingConfig
from videomm.errors import (
    DamagedVideoError,
    DecoderNotExactError,
    UnsupportedCodecError,
)
from videomm.types import VideoInfo
from videomm.video import decord_decoder
from videomm.video.colour import colour_warnings, has_alpha, has_common_matrix, orientation
from videomm.video.containers import (
    codec_name,
    encrypted_error,
    is_encrypted,
    open_container,
    packets_until_damage,
)
from videomm.video.frames_shown import FrameClock, seconds_of
from videomm.video.paths import check_path
from videomm.video.scan import PacketScan, scan_packets

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# decord's own thread decodes ahead without bound, in the worst case the whole file, so only
# files that fit into this as RGB go to it unasked. The bound holds at the full picture size:
# which decoder reads a file must not depend on the size that one request happens to ask for.
DECORD_MEMORY_BYTES = 150_000_000

# decord garbles rows of pictures narrower than this.
_DECORD_MIN_WIDTH = 18

# Measured exact in decord once everything else in `_decord_problem` holds. HEVC and open GOPs
# come out wrong after a seek, and VP9 fails on some files with EAGAIN from its own FFmpeg.
_DECORD_CODECS = frozenset({"h264", "mjpeg"})


@dataclass(frozen=True, eq=False)
class VideoProbe:
    """All that decoding needs to know about a file.

    Attributes:
        info: what users see.
        scan: what the packets say.
        start_ticks: the first displayed frame's time in ticks of the scan's time base.
        end_ticks: when the last frame leaves the screen, going by header and packets.
        mirrored: players mirror the picture before they turn it.
        decord_problem: why decord is not exact on this file; empty where it is.
    """

    info: VideoInfo
    scan: PacketScan
    start_ticks: int
    end_ticks: int
    mirrored: bool
    decord_problem: str


@dataclass(frozen=True)
class _First:
    """Facts of the first displayed frames."""

    ticks: int
    width: int
    height: int
    rotation: int
    mirrored: bool
    interlaced: bool
    alpha: bool
    plain_matrix: bool
    colour_warnings: tuple[str, ...]


def probe(path: str, config: DecodingConfig = DecodingConfig()) -> VideoProbe:  # noqa: B008
    """Look at a file's container, packets and first frame.

    Raises:
        VideoError: one of its kinds; `DecoderNotExactError` where the configuration asks for
            a decoder that returns wrong frames on this file.
    """
    check_path(path)
    with open_container(path) as (container, stream):
        codec, kind = codec_name(stream), container.format.name
        if kind.startswith("mov") and is_encrypted(path):
            # Asked before decoding: noise can decode to a picture of noise.
            raise encrypted_error(path)
        context: Any = stream.codec_context
        frame_bytes = max(1, 3 * context.width * context.height)
        inspect = 0
        if codec in _DECORD_CODECS and config.decoder != "pyav":
            inspect = DECORD_MEMORY_BYTES // frame_bytes
            if config.decoder == "decord":
                inspect = sys.maxsize
        scan = scan_packets(path, container, stream, inspect)
        warnings = _stream_warnings(stream, scan)
    first = _first_frames(path, codec, scan)
    turned = first.rotation % 180 != 0
    duration, end, length_warnings = _length(scan, first.ticks)
    info = VideoInfo(
        path=path,
        duration=duration,
        width=first.height if turned else first.width,
        height=first.width if turned else first.height,
        codec=codec,
        container=kind,
        start_seconds=seconds_of(first.ticks, scan.time_base),
        rotation=first.rotation,
        decoder="pyav",
        decoder_reason="",
        warnings=(*warnings, *length_warnings, *_frame_warnings(first)),
    )
    found = VideoProbe(info, scan, first.ticks, end, first.mirrored, "")
    return _choose(found, first, config.decoder)


def _length(scan: PacketScan, start: int) -> tuple[float, int, list[str]]:
    """Duration in seconds, its end in ticks, and what is to be said about it.

    The packets tell the length, whatever the header states; but of a file that is cut off the
    header knows how long it was.
    """
    warnings = []
    end = max(scan.end, start + scan.step)
    if not scan.stamped:
        end = start + max(1, len(scan.pts)) * scan.step
    duration = seconds_of(end - start, scan.time_base)
    if scan.cut_off and scan.declared and scan.declared > duration:
        warnings.append(
            f"the file is cut off or damaged: it has packets for {duration:.1f} s of "
            f"{scan.declared:.1f} s"
        )
        duration = scan.declared
        end = start + round(duration / scan.time_base)
    elif scan.cut_off:
        warnings.append("the file is cut off or damaged")
    elif scan.declared and abs(scan.declared - duration) > max(1.0, 0.05 * duration):
        warnings.append(
            f"the container states {scan.declared:.1f} s, its frames last {duration:.1f} s"
        )
    return duration, end, warnings


def _stream_warnings(stream: VideoStream, scan: PacketScan) -> list[str]:
    out = []
    if not scan.stamped:
        rate = float(1 / (scan.step * scan.time_base))
        out.append(f"a raw stream without times: frame times follow its rate of {rate:g} a second")
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1 and aspect > 0:
        out.append(f"pixels are not square ({aspect}): frames keep the stored shape")
    if stream.metadata.get("alpha_mode") == "1":
        out.append("transparent: the alpha channel is not decoded")
    return out


def _frame_warnings(first: _First) -> list[str]:
    out = list(first.colour_warnings)
    if first.interlaced:
        out.append("interlaced: both fields are in each frame, not deinterlaced")
    if first.alpha:
        out.append("transparent: frames are put on white")
    return out


def _first_frames(path: str, codec: str, scan: PacketScan) -> _First:
    """Decode until the first two frames are there, however far in that is."""
    with open_container(path) as (container, stream):
        frames: list[VideoFrame] = list(islice(_salvaged(container, stream), 2))
        context: Any = stream.codec_context
        if not frames:
            if len(scan.pts) and not (context.width and context.height):
                raise UnsupportedCodecError(
                    f"{path!r}: this {codec} stream uses features that no decoder here has; "
                    "convert it to plain H.264 first"
                )
            count = len(scan.pts)
            what = f"not one of its {count} {codec} packets decodes"
            if count == 0:
                what = f"its {codec} stream has no packets to show"
            raise DamagedVideoError(
                f"{path!r}: {what}; expected at least one frame, fetch or export the file again"
            )
        frame = frames[0]
        clock = FrameClock(scan.time_base, scan.step)
        rotation, mirrored = orientation(frame)
        return _First(
            ticks=clock.tick(frame.pts, frame.dts),
            width=frame.width,
            height=frame.height,
            rotation=rotation,
            mirrored=mirrored,
            interlaced=any(item.interlaced_frame for item in frames),
            alpha=has_alpha(frame.format.name),
            plain_matrix=has_common_matrix(frame),
            colour_warnings=tuple(colour_warnings(frame, int(context.color_trc))),
        )


def _salvaged(container: Any, stream: Any) -> Any:
    """Frames in display order, stepping over packets that fail."""
    import av

    stream.thread_type = "NONE"
    for packet in packets_until_damage(container, stream):
        try:
            ended = isinstance(packet, Exception)
            yield from stream.codec_context.decode(None if ended else packet)
        except (av.error.FFmpegError, ValueError, MemoryError):
            continue


def _choose(found: VideoProbe, first: _First, decoder: str) -> VideoProbe:
    """Fill in decoder and reason.

    Raises:
        DecoderNotExactError: `decoder` is `decord` and it is not exact here.
    """
    problem, name = "", "pyav"
    if decoder == "pyav":
        reason = "asked for"
    elif problem := _decord_problem(found, first):
        if decoder == "decord":
            raise _not_exact(found, problem)
        reason = f"decord is not exact here: {problem}"
    elif decoder == "auto" and (size := _decoded_bytes(found)) > DECORD_MEMORY_BYTES:
        reason = (
            f"decord decodes ahead without bound and might hold all {size / 1e6:.0f} MB of "
            f"frames (bound {DECORD_MEMORY_BYTES / 1e6:.0f} MB)"
        )
    elif problem := found.scan.unsure_pictures or decord_decoder.index_problem(found):
        if decoder == "decord":
            raise _not_exact(found, problem)
        reason = f"decord is not exact here: {problem}"
    else:
        name = "decord"
        reason = "exact: closed GOPs, one picture a packet, no edit list, small enough"
        if decoder == "decord":
            reason = "asked for, and exact on this file"
    info = replace(found.info, decoder=name, decoder_reason=reason)
    return replace(found, info=info, decord_problem=problem)


def _not_exact(found: VideoProbe, problem: str) -> DecoderNotExactError:
    return DecoderNotExactError(
        f"{found.info.path!r}: decord is not exact on this file: {problem}; "
        "use decoder 'auto' or 'pyav'"
    )


def _decoded_bytes(found: VideoProbe) -> int:
    return 3 * found.info.width * found.info.height * len(found.scan.pts)


def _decord_problem(found: VideoProbe, first: _First) -> str:
    """Why decord is not exact on this file, going by container and stream alone."""
    info, scan = found.info, found.scan
    rules = (
        (decord_decoder.missing_reason(), ""),
        (info.codec not in _DECORD_CODECS, f"{info.codec} is not among the codecs it is exact on"),
        (scan.unproven, scan.unproven),
        (first.rotation or first.mirrored, "frames are to be turned or mirrored"),
        (found.start_ticks, f"it starts at {info.start_seconds:.3f} s, not at 0"),
        (info.width < _DECORD_MIN_WIDTH, f"it is {info.width} px wide (under {_DECORD_MIN_WIDTH})"),
        (first.interlaced, "it is interlaced"),
        (first.alpha or "transparent" in " ".join(info.warnings), "it is transparent"),
        (not first.plain_matrix, "its colour matrix is a rare one"),
    )
    for broken, reason in rules:
        if broken:
            return reason or str(broken)
    return ""
