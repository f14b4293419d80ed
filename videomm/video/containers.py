"""Opening a file with FFmpeg safely: local bytes only, real containers only, typed errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from videomm.errors import (
    EncryptedVideoError,
    NotAVideoError,
    NoVideoStreamError,
    UnsupportedCodecError,
    VideoUnreadableError,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# FFmpeg opens these too: lists that lead to other files, text art, and single pictures.
_REFUSED = {
    "hls": "a playlist",
    "dash": "a playlist",
    "concat": "a playlist",
    "concatf": "a playlist",
    "sdp": "a stream description",
    "tty": "a text file",
    "image2": "a still picture",
}

_MOOV_LIMIT = 64 << 20


def codec_name(stream: VideoStream) -> str:
    """FFmpeg's name of the codec, not of the decoder (`av1`, not `libdav1d`)."""
    codec = stream.codec_context.codec
    return str(getattr(codec, "canonical_name", None) or stream.codec_context.name)


@contextmanager
def open_container(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its video stream.

    Raises:
        NotAVideoError: the bytes are no container of moving pictures.
        NoVideoStreamError: nothing in it but audio, subtitles or a cover picture.
        UnsupportedCodecError: this FFmpeg has no decoder for the stream.
        EncryptedVideoError: the stream is encrypted.
        VideoUnreadableError: the operating system refuses the file.
    """
    import av

    try:
        # `file:` and the whitelist keep FFmpeg from reading a path as a protocol, and a
        # hostile file from making it open other places.
        container = av.open(
            f"file:{os.path.abspath(path)}",
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file"},
        )
    except (av.error.PermissionError, av.error.FileNotFoundError) as error:
        raise VideoUnreadableError(f"{path!r} could not be opened: {error.strerror}") from error
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise NotAVideoError(
            f"{path!r} is not a video that can be read (header missing, cut off or of another "
            "kind); expected a file such as mp4, mkv, webm or avi: check that it plays"
        ) from error
    try:
        kind = container.format.name
        refused = "a still picture" if kind.endswith("_pipe") else _REFUSED.get(kind)
        if refused:
            raise NotAVideoError(
                f"{path!r} is {refused} ({kind}); expected a video file such as mp4, mkv or webm"
            )
        yield container, _video_stream(path, container)
    finally:
        container.close()


def _video_stream(path: str, container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not moving:
        others = ", ".join(sorted({stream.type for stream in container.streams})) or "no streams"
        cover = " as a cover picture" if container.streams.video else ""
        raise NoVideoStreamError(
            f"{path!r} has no video stream ({others}{cover}); expected a file with moving pictures"
        )
    best: Any = container.streams.best("video")
    stream: VideoStream = best if best in moving else moving[0]
    if stream.codec_context is None or not stream.codec_context.is_decoder:
        if is_encrypted(path):
            raise encrypted_error(path)
        raise UnsupportedCodecError(
            f"{path!r}: no decoder for its video stream here; convert it to H.264, for instance "
            "with `ffmpeg -i IN OUT.mp4`"
        )
    return stream


def encrypted_error(path: str) -> EncryptedVideoError:
    """The error for a stream behind a key."""
    return EncryptedVideoError(
        f"{path!r} is encrypted (DRM); only files without encryption can be decoded"
    )


def is_encrypted(path: str) -> bool:
    """Whether an mp4 describes its video as encrypted (entry `encv` of `stsd`, ISO 14496-12)."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if head[4:8] == b"moov":
                file.seek(at)
                moov = file.read(min(length or size, _MOOV_LIMIT))
                # After the name: version and flags, count, and the first entry's size.
                return any(part[12:16] == b"encv" for part in moov.split(b"stsd")[1:])
            if length < 8:
                return False
            at += length
    return False


def cut_off_bytes(path: str, container: str) -> bool:
    """Whether the container's own size field (Matroska, AVI) points past the file's end."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if container.startswith("matroska"):
            file.seek(0)
            head = file.read(4096)
            at = head.find(b"\x18\x53\x80\x67")  # the Segment element's id
            if at < 0 or at + 12 > len(head):
                return False
            first = head[at + 4]
            if first == 0:
                return False
            length = 9 - first.bit_length()
            raw = int.from_bytes(head[at + 4 : at + 4 + length], "big")
            value = raw & ((1 << (7 * length)) - 1)
            unknown = value == (1 << (7 * length)) - 1
            return not unknown and at + 4 + length + value > size
        if container == "avi":
            head = file.read(8)
            # Odd sizes are padded by one byte that some writers leave out.
            return head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") + 8 > size + 1
    return False


def packets_until_damage(
    container: InputContainer, stream: VideoStream
) -> Iterator[Packet | Exception]:
    """The stream's packets in decode order; where reading fails, the error comes last."""
    import av

    try:
        yield from container.demux(stream)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        yield error
