"""How the parent and the decoding child talk: JSON with raw bytes, and a ring of frames.

A message is two little-endian 32-bit lengths, a JSON object, and bytes. Frames go through
a file without a name that both sides map, so nothing is left behind however either side
ends; where a file descriptor cannot be handed on (Windows), they follow as bytes instead.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
from typing import Any, BinaryIO

import numpy as np

from videomm.video.frames_shown import Pixels

_LENGTHS = struct.Struct("<II")

# Frames in flight between the two sides: enough to overlap, and bounded in bytes.
_RING_BYTES = 32 << 20
_MOST_SLOTS = 16
_FEWEST_SLOTS = 2

NO_RING = -1

Message = tuple[dict[str, Any], bytes]


def write_message(pipe: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    """Write one message; the caller serialises."""
    text = json.dumps(head).encode()
    pipe.write(_LENGTHS.pack(len(text), len(body)) + text + body)
    pipe.flush()


def read_message(pipe: BinaryIO) -> Message | None:
    """The next message, or None at the end of the stream."""
    lengths = _read_exactly(pipe, _LENGTHS.size)
    if lengths is None:
        return None
    text_size, body_size = _LENGTHS.unpack(lengths)
    text = _read_exactly(pipe, text_size)
    body = _read_exactly(pipe, body_size)
    if text is None or body is None:
        return None
    return json.loads(text), body


def _read_exactly(pipe: BinaryIO, size: int) -> bytes | None:
    parts = []
    while size:
        part = pipe.read(size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def open_ring_file() -> int:
    """A descriptor of a file without a name, or `NO_RING` where it could not be inherited."""
    if os.name != "posix":
        return NO_RING
    if hasattr(os, "memfd_create"):
        return os.memfd_create("videomm-frames", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def ring_slots(frame_bytes: int) -> int:
    """How many frames of this size may be in flight."""
    return max(_FEWEST_SLOTS, min(_MOST_SLOTS, _RING_BYTES // max(1, frame_bytes)))


class FrameRing:
    """Slots of equal size in the shared file, for the frames of one request."""

    def __init__(self, descriptor: int, height: int, width: int, slots: int) -> None:
        self.slots = slots
        self._shape = (height, width, 3)
        self._frame_bytes = height * width * 3
        self._map: mmap.mmap | None = None
        if descriptor != NO_RING:
            self._map = mmap.mmap(descriptor, self._frame_bytes * slots)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and 3."""
        return self._shape

    def put(self, slot: int, pixels: Pixels) -> bytes:
        """Store a frame; returns the bytes that must travel in the message instead, if any."""
        if pixels.shape != self._shape:
            raise ValueError(f"frame of shape {pixels.shape} for slots of {self._shape}")
        if self._map is None:
            return pixels.tobytes()
        self._slot(slot)[:] = pixels
        return b""

    def take(self, slot: int, body: bytes) -> Pixels:
        """A copy of a frame."""
        if self._map is None:
            return np.frombuffer(body, dtype=np.uint8).reshape(self._shape).copy()
        return self._slot(slot).copy()

    def _slot(self, slot: int) -> Pixels:
        assert self._map is not None
        flat = np.frombuffer(
            self._map, dtype=np.uint8, count=self._frame_bytes, offset=slot * self._frame_bytes
        )
        return flat.reshape(self._shape)
