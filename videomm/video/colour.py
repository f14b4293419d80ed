"""Decoded pictures to RGB with the matrix and range that the stream is tagged with.

The matrices are those of ITU-R BT.601, BT.709 and BT.2020. A stream without a tag is read
as BT.601, as FFmpeg does. Transfer functions are left as they are: HDR is not tone mapped.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from videomm.video.frames_shown import Pixels

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# AVColorSpace values that every swscale converts, as ISO/IEC 23091-2 numbers them.
RGB, BT709, UNTAGGED, FCC, BT470BG, BT601, SMPTE240M, BT2020 = 0, 1, 2, 4, 5, 6, 7, 9
_CONVERTIBLE = frozenset({RGB, BT709, UNTAGGED, FCC, BT470BG, BT601, SMPTE240M, BT2020})

# swscale's own numbers (SWS_CS_*) for them, and what stands in for a matrix that it has none of.
_SWS_BT601, _SWS_BT2020 = 5, 9
_SWS_MATRIX = {BT709: 1, FCC: 4, SMPTE240M: 7, BT2020: _SWS_BT2020}
_BT2020_CONSTANT, _ICTCP = 10, 14

_LIMITED, _FULL = 1, 2

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


class RgbConverter:
    """Scales and converts one file's pictures; keeps its scaler between them."""

    def __init__(self, width: int, height: int) -> None:
        from av.video.reformatter import VideoReformatter

        self._size = (width, height)
        self._reformatter = VideoReformatter()

    def convert(self, frame: VideoFrame, rotation: int, mirrored: bool = False) -> Pixels:
        """uint8 (H, W, 3) RGB of the converter's size, mirrored and then turned clockwise.

        Bicubic, widened when shrinking (antialiased). A picture with alpha is put on white.
        """
        width, height = self._size if rotation % 180 == 0 else self._size[::-1]
        alpha = has_alpha(frame.format.name)
        options: dict[str, Any] = {
            "width": width,
            "height": height,
            "format": "rgba" if alpha else "rgb24",
            "interpolation": "BICUBIC",
        }
        if not (frame.format.is_rgb or frame.format.has_palette):
            # Said in full: older PyAV takes BT.601 for anything that it is not told.
            options |= _source_colours(frame)
        pixels = self._reformatter.reformat(frame, **options).to_ndarray()
        if alpha:
            opacity = pixels[..., 3:].astype(np.uint16)
            pixels = ((pixels[..., :3] * opacity + 255 * (255 - opacity) + 127) // 255).astype(
                np.uint8
            )
        if mirrored:
            pixels = pixels[:, ::-1]
        if rotation:
            pixels = np.rot90(pixels, -(rotation // 90))
        return np.ascontiguousarray(pixels)


def _source_colours(frame: VideoFrame) -> dict[str, int]:
    """The matrix and range to convert a YUV picture from, as arguments of `reformat`."""
    colorspace = int(frame.colorspace)
    matrix = _SWS_MATRIX.get(colorspace, _SWS_BT601)
    if colorspace not in _CONVERTIBLE:
        wide = colorspace in (_BT2020_CONSTANT, _ICTCP)
        matrix = _SWS_BT2020 if wide else _SWS_BT601
        frame.colorspace = BT2020 if wide else BT601  # swscale refuses the tag itself
    full = int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj")
    return {
        "src_colorspace": matrix,
        # Means nothing for RGB, but older PyAV ignores the source's where the two are equal.
        "dst_colorspace": _SWS_BT601 if matrix != _SWS_BT601 else _SWS_MATRIX[BT709],
        "src_color_range": _FULL if full else _LIMITED,
        "dst_color_range": _FULL,
    }


def orientation(frame: VideoFrame) -> tuple[int, bool]:
    """How players turn the picture: degrees clockwise, after mirroring left to right if True."""
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
            mirrored = a * d - b * c < 0
            if mirrored:
                a, b = -a, -b
            return round(math.degrees(math.atan2(b, a)) / 90) * 90 % 360, mirrored
    return 0, False


def has_alpha(pixel_format: str) -> bool:
    """Whether pictures of this FFmpeg pixel format carry transparency."""
    return pixel_format.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya", "pal8"))


def colour_warnings(frame: VideoFrame, color_trc: int) -> list[str]:
    """What a reader of the RGB should know about the stream's colours.

    Args:
        frame: a decoded picture.
        color_trc: the decoder's transfer characteristic (AVColorTransferCharacteristic).
    """
    out = []
    transfer = _HDR_TRANSFERS.get(color_trc)
    if transfer:
        out.append(
            f"HDR ({transfer}): converted with the stream's own matrix and not tone mapped, "
            "so the picture looks flat"
        )
    colorspace = int(frame.colorspace)
    if colorspace not in _CONVERTIBLE:
        out.append(f"colour matrix {colorspace} has no exact conversion here; the nearest is used")
    return out


def has_common_matrix(frame: VideoFrame) -> bool:
    """Whether the matrix is one that decord too is measured to convert rightly."""
    return int(frame.colorspace) in (BT709, UNTAGGED, BT470BG, BT601, BT2020)
