"""Facts read from coded packets without decoding them: where a stream can be entered safely.

H.264: ITU-T H.264 section 7.3.1 and table 7-1; HEVC: ITU-T H.265 table 7-1;
VP9: "VP9 Bitstream & Decoding Process Specification", section 6.2 and annex B.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Every picture of these stands alone, so every packet can be decoded by itself.
INTRA_CODECS = frozenset({"mjpeg", "prores", "ffv1", "dnxhd", "huffyuv", "ffvhuff", "rawvideo"})

_H264_SLICE, _H264_PARTITION_A, _H264_IDR, _H264_SPS = 1, 2, 5, 7
_HEVC_IDR = (19, 20)
_HEVC_LAST_SLICE = 31


@dataclass(frozen=True)
class PacketFacts:
    """What one packet holds.

    Attributes:
        random_access: nothing after it in decode order refers to anything before it, apart
            from pictures that its timestamps show to be displayed earlier.
        shown_pictures: pictures that this packet puts on screen.
        new_parameters: it changes the stream's parameters (size, format).
    """

    random_access: bool
    shown_pictures: int
    new_parameters: bool = False


class PacketReader:
    """Reads `PacketFacts` for the codecs whose packets it understands."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._codec = codec
        self._nal_length = 0
        self._known_sps: set[bytes] = set()
        if codec == "h264" and len(extradata) > 6 and extradata[0] == 1:
            self._nal_length = (extradata[4] & 3) + 1
            self._known_sps = set(_sps_of_avcc(extradata))
        elif codec == "hevc" and len(extradata) > 22 and extradata[0] == 1:
            self._nal_length = (extradata[21] & 3) + 1

    @property
    def understands(self) -> bool:
        """Whether packets of this stream can be read; without it nothing is proven."""
        return self._codec in INTRA_CODECS or self._codec == "vp9" or self._nal_length > 0

    def read(self, data: bytes) -> PacketFacts:
        """The facts of one packet's bytes."""
        if self._codec == "h264":
            return self._read_h264(data)
        if self._codec == "hevc":
            kinds = [(unit[0] >> 1) & 0x3F for unit in _units(data, self._nal_length)]
            slices = [kind for kind in kinds if kind <= _HEVC_LAST_SLICE]
            return PacketFacts(bool(slices) and slices[0] in _HEVC_IDR, 1 if slices else 0)
        if self._codec == "vp9":
            return _read_vp9(data)
        return PacketFacts(self._codec in INTRA_CODECS, 1)

    def _read_h264(self, data: bytes) -> PacketFacts:
        idr, plain, pictures, changed = False, False, 0, False
        for unit in _units(data, self._nal_length):
            kind = unit[0] & 0x1F
            if kind in (_H264_SLICE, _H264_PARTITION_A, _H264_IDR):
                idr |= kind == _H264_IDR
                plain |= kind != _H264_IDR
                # first_mb_in_slice is coded ue(v): a leading 1 bit is 0, a picture's first slice.
                pictures += len(unit) > 1 and unit[1] >= 0x80
            elif kind == _H264_SPS and unit not in self._known_sps:
                changed = True
        return PacketFacts(idr and not plain, pictures, changed)


def _units(data: bytes, nal_length: int) -> Iterator[bytes]:
    """The NAL units of a length-prefixed packet; stops at the first length that cannot be."""
    at = 0
    while nal_length and at + nal_length < len(data):
        size = int.from_bytes(data[at : at + nal_length], "big")
        at += nal_length
        if size == 0 or at + size > len(data):
            return
        yield data[at : at + size]
        at += size


def _sps_of_avcc(extradata: bytes) -> Iterator[bytes]:
    at = 6
    for _ in range(extradata[5] & 31):
        size = int.from_bytes(extradata[at : at + 2], "big")
        yield extradata[at + 2 : at + 2 + size]
        at += 2 + size


def _read_vp9(data: bytes) -> PacketFacts:
    if not data or data[0] >> 6 != 2:
        return PacketFacts(False, 0)
    bits = data[0]
    if (bits >> 4) & 3 == 3:  # profile 3 has one reserved bit before the flags
        bits <<= 1
    show_existing, inter, show = bits & 8, bits & 4, bits & 2
    if show_existing:
        return PacketFacts(False, 1)
    if data[-1] & 0xE0 == 0xC0:
        # A superframe: hidden frames and, last, the one that is shown.
        return PacketFacts(not inter, 1)
    return PacketFacts(not inter and bool(show), 1 if show else 0)
