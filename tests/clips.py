"""Small videos whose every frame can be told apart, made on the spot with PyAV.

Each frame carries its own number as black and white squares of 16 pixels, readable after
compression, scaling and turning, so that a wrong frame is provable. `Clips` makes a clip on
first use and keeps it for the session:

>>> clip = Clips(folder).get("h264_mp4")
>>> read_counter(pixels, clip) == clip.counters[i]
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

SQUARE = 16
_MOST_BITS = 10

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """A file and the truth about it.

    Attributes:
        path: the file.
        counters: the numbers of the displayed frames, in order.
        times: seconds from the first displayed frame to each.
        width, height: of the coded picture, before rotation.
        rotation: degrees clockwise that players turn it.
        end: when the last frame leaves the screen, in seconds.
    """

    path: Path
    counters: tuple[int, ...]
    times: tuple[float, ...]
    width: int
    height: int
    rotation: int = 0
    end: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How to encode a clip."""

    file: str
    codec: str = "libx264"
    frames: int = 75
    width: int = 160
    height: int = 96
    rate: int = 25
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    mux: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    ticks: Callable[[int], int] | None = None  # pts of frame i in 1 / rate; default i
    rotation: int = 0
    first_shown: int = 0
    change: Callable[[Path], None] | None = None


def bits_of(width: int, height: int) -> int:
    """How many bits a picture of this size has room for."""
    return min(_MOST_BITS, (width // SQUARE) * (height // SQUARE))


def draw(number: int, width: int, height: int) -> Picture:
    """uint8 (H, W, 3): the number's bits as squares row by row, over a moving pattern."""
    rows, columns = np.mgrid[0:height, 0:width]
    moving = (columns * 2 + rows * 3 + number * 5) % 256
    picture = np.stack([moving, 255 - moving, (moving // 2 + 64)], axis=-1).astype(np.uint8)
    for bit in range(bits_of(width, height)):
        top, left = divmod(bit, width // SQUARE)
        picture[top * SQUARE : (top + 1) * SQUARE, left * SQUARE : (left + 1) * SQUARE] = 255 * (
            (number >> bit) & 1
        )
    return picture


def read_counter(pixels: Picture, clip: Clip) -> int:
    """The number in a displayed frame (H, W, 3), whatever its size or rotation."""
    upright = np.rot90(pixels, clip.rotation // 90)
    scale_y, scale_x = upright.shape[0] / clip.height, upright.shape[1] / clip.width
    number = 0
    for bit in range(bits_of(clip.width, clip.height)):
        top, left = divmod(bit, clip.width // SQUARE)
        y, x = (top + 0.5) * SQUARE * scale_y, (left + 0.5) * SQUARE * scale_x
        reach_y, reach_x = max(1, SQUARE * scale_y / 4), max(1, SQUARE * scale_x / 4)
        middle = upright[
            max(0, int(y - reach_y)) : int(y + reach_y) + 1,
            max(0, int(x - reach_x)) : int(x + reach_x) + 1,
        ]
        number |= int(middle.mean() > 127) << bit
    return number


def encode(path: Path, recipe: Recipe) -> None:
    """Write the numbered frames of a recipe to `path`."""
    ticks = recipe.ticks or (lambda index: index)
    with av.open(str(path), "w", format=recipe.format, options=recipe.mux) as container:
        stream: Any = container.add_stream(recipe.codec, rate=recipe.rate)
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, recipe.pix_fmt
        stream.options = recipe.options
        stream.codec_context.time_base = Fraction(1, recipe.rate)
        for index in range(recipe.frames):
            picture = draw(index, recipe.width, recipe.height)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format=recipe.pix_fmt)
            frame.pts, frame.time_base = ticks(index), Fraction(1, recipe.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _x264(**extra: Any) -> dict[str, str]:
    values = {"keyint": 24, "min-keyint": 24, "scenecut": 0, "bframes": 3, "open-gop": 0, **extra}
    text = ":".join(f"{key}={value}" for key, value in values.items())
    return {"preset": "veryfast", "crf": "20", "x264-params": text}


def _x265(**extra: Any) -> dict[str, str]:
    values = {"keyint": 24, "min-keyint": 24, "scenecut": 0, "open-gop": 0, "log-level": 0, **extra}
    text = ":".join(f"{key}={value}" for key, value in values.items())
    return {"preset": "ultrafast", "crf": "20", "x265-params": text}


def uneven(index: int) -> int:
    """Frame times of a variable rate, in 1/100 s."""
    return index * 4 + (index // 7) * 9 + (index % 5 == 3)


def rotate(degrees: int) -> Callable[[Path], None]:
    """Write a rotation into an mp4's track header (ISO 14496-12, tkhd), clockwise."""
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [a, b, 0, -b, a, 0, 0, 0, 0x4000]

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes
        for index, value in enumerate(matrix):
            data[at + 4 * index : at + 4 * index + 4] = (value * 0x10000 % 2**32).to_bytes(4, "big")
        path.write_bytes(data)

    return change


def cut_by_copy(first: int) -> Callable[[Path], None]:
    """Drop what is displayed before frame `first`, without encoding: an edit list hides it."""

    def change(path: Path) -> None:
        with av.open(str(path)) as source:
            stream = source.streams.video[0]
            packets = [packet for packet in source.demux(stream) if packet.size]
            rate = stream.average_rate or Fraction(25)
            shift = round(first / (rate * (stream.time_base or 1)))
            keys = [i for i, p in enumerate(packets) if p.is_keyframe and (p.pts or 0) <= shift]
            other = path.with_name(f"cut_{path.name}")
            with av.open(str(other), "w", options={"avoid_negative_ts": "disabled"}) as target:
                copy = target.add_stream_from_template(stream)
                for packet in packets[keys[-1] :]:
                    packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
                    packet.stream = copy
                    target.mux(packet)
        other.replace(path)

    return change


def trim(frames: int, total: int) -> Callable[[Path], None]:
    """Encode `total` frames at 25 a second; the edit list shows the first `frames` of them."""

    def change(path: Path) -> None:
        encode(path, replace(RECIPES["h264_mp4"], frames=total))
        data = bytearray(path.read_bytes())
        at = data.index(b"elst") + 12  # version 0: the first entry's duration, in milliseconds
        data[at : at + 4] = (frames * 40).to_bytes(4, "big")
        path.write_bytes(data)

    return change


def cut_bytes(share: float) -> Callable[[Path], None]:
    """Keep only the first `share` of the file."""

    def change(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return change


_WEBM = {"deadline": "realtime", "cpu-used": "8", "b": "800k", "g": "24"}
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_CENC = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}

RECIPES: dict[str, Recipe] = {
    "h264_mp4": Recipe("closed.mp4", options=_x264()),
    "h264_mkv": Recipe("closed.mkv", options=_x264()),
    "h264_no_b_mp4": Recipe("no_b.mp4", options=_x264(bframes=0)),
    "h264_one_key_mp4": Recipe("one_key.mp4", options=_x264(keyint=999)),
    "h264_open_mp4": Recipe("open.mp4", frames=150, options=_x264(**{"open-gop": 1})),
    "h264_open_mkv": Recipe("open.mkv", frames=150, options=_x264(**{"open-gop": 1})),
    "h264_intra_refresh": Recipe("refresh.mkv", options=_x264(**{"intra-refresh": 1})),
    "h264_long_gop": Recipe("long.mp4", frames=240, options=_x264(keyint=60)),
    "h264_10bit": Recipe("ten.mp4", pix_fmt="yuv420p10le", options=_x264()),
    "h264_odd_size": Recipe("odd.mp4", width=161, height=97, pix_fmt="yuv444p", options=_x264()),
    "h264_16px": Recipe("narrow.mp4", width=16, frames=60, options=_x264()),
    "h264_one_frame": Recipe("one.mp4", frames=1, options=_x264()),
    "h264_two_frames": Recipe("two.mkv", frames=2, options=_x264()),
    "h264_fragmented": Recipe("frag.mp4", options=_x264(bframes=0), mux=_FRAGMENTED),
    "h264_fragmented_b": Recipe("frag_b.mp4", options=_x264(), mux=_FRAGMENTED),
    "h264_editlist": Recipe(
        "edit.mp4", frames=120, first_shown=33, options=_x264(keyint=48), change=cut_by_copy(33)
    ),
    "h264_trimmed": Recipe("trim.mp4", frames=38, options=_x264(), change=trim(38, 75)),
    "h264_interlaced": Recipe("tff.mp4", options=_x264(tff=1)),
    "h264_ts": Recipe("closed.ts", options=_x264()),
    "h264_open_ts": Recipe("open.ts", options=_x264(**{"open-gop": 1})),
    "h264_flv": Recipe("closed.flv", options=_x264()),
    "h264_vfr_mp4": Recipe("vfr.mp4", rate=100, ticks=uneven, options=_x264()),
    "h264_vfr_mkv": Recipe("vfr.mkv", rate=100, ticks=uneven, options=_x264()),
    "h264_start_5s": Recipe("start.mkv", ticks=lambda i: i + 125, options=_x264()),
    "h264_rotate_90": Recipe("r90.mp4", rotation=90, options=_x264(), change=rotate(90)),
    "h264_rotate_180": Recipe("r180.mp4", rotation=180, options=_x264(), change=rotate(180)),
    "h264_rotate_270": Recipe("r270.mp4", rotation=270, options=_x264(), change=rotate(270)),
    "h264_raw": Recipe("raw.h264", options=_x264(), format="h264"),
    "hevc_mp4": Recipe("closed.hevc.mp4", "libx265", options=_x265()),
    "hevc_open_mp4": Recipe("open.hevc.mp4", "libx265", options=_x265(**{"open-gop": 1})),
    "hevc_sparse": Recipe("sparse.hevc.mkv", "libx265", frames=248, options=_x265(bframes=4)),
    "vp8_webm": Recipe("vp8.webm", "libvpx", options=_WEBM),
    "vp8_hidden": Recipe(
        "vp8_hidden.webm",
        "libvpx",
        options={**_WEBM, "deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16"},
    ),
    "vp9_webm": Recipe("vp9.webm", "libvpx-vp9", options=_WEBM),
    "vp9_hidden": Recipe(
        "vp9_hidden.webm",
        "libvpx-vp9",
        options={**_WEBM, "deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16"},
    ),
    "vp9_live": Recipe("vp9_live.webm", "libvpx-vp9", options=_WEBM, mux={"live": "1"}),
    "av1_mp4": Recipe("av1.mp4", "libsvtav1", options={"preset": "12", "g": "24", "crf": "25"}),
    "mpeg1_ps": Recipe("one.mpg", "mpeg1video", options={"bf": "2", "g": "12", "b": "2M"}),
    "mpeg2_ps": Recipe(
        "two.vob", "mpeg2video", options={"bf": "2", "g": "12", "b": "2M"}, format="vob"
    ),
    "mpeg2_ts": Recipe("two.ts", "mpeg2video", options={"bf": "2", "g": "12", "b": "2M"}),
    "mpeg2_interlaced": Recipe(
        "interlaced.ts", "mpeg2video", options={"flags": "+ilme+ildct", "g": "12", "b": "3M"}
    ),
    "mpeg4_avi": Recipe("xvid.avi", "mpeg4", options={"bf": "2", "g": "24", "b": "2M"}),
    "mjpeg_avi": Recipe("m.avi", "mjpeg", pix_fmt="yuvj420p", options={"q:v": "3"}),
    "mjpeg_mov": Recipe("m.mov", "mjpeg", pix_fmt="yuvj420p", options={"q:v": "3"}),
    "prores_mov": Recipe("p.mov", "prores", pix_fmt="yuv422p10le", frames=30),
    "ffv1_mkv": Recipe("f.mkv", "ffv1", frames=30),
    "wmv2_asf": Recipe("w.wmv", "wmv2", frames=150, options={"g": "100", "b": "2M"}),
    "gif": Recipe("g.gif", "gif", rate=10, pix_fmt="rgb8", frames=40),
    "encrypted": Recipe("locked.mp4", frames=10, options=_x264(bframes=0), mux=_CENC),
    "cut_mkv": Recipe("cut.mkv", frames=150, options=_x264(), change=cut_bytes(0.5)),
    "cut_mp4": Recipe(
        "cut.mp4",
        frames=150,
        options=_x264(),
        mux={"movflags": "faststart"},
        change=cut_bytes(0.6),
    ),
}

# The clips that are whole, each of which every exact decoder must read without one mistake.
WHOLE = tuple(name for name in RECIPES if name not in ("encrypted", "cut_mkv", "cut_mp4"))


class Clips:
    """Makes clips in a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Clip] = {}

    def get(self, name: str) -> Clip:
        """The clip of this name in `RECIPES`."""
        if name not in self._made:
            self._made[name] = self.make(RECIPES[name])
        return self._made[name]

    def make(self, recipe: Recipe) -> Clip:
        """Encode a recipe and say what is true of the file."""
        path = self._folder / recipe.file
        encode(path, recipe)
        if recipe.change:
            recipe.change(path)
        ticks = recipe.ticks or (lambda index: index)
        shown = range(recipe.first_shown, recipe.frames)
        first = ticks(recipe.first_shown)
        times = tuple((ticks(index) - first) / recipe.rate for index in shown)
        end = times[-1] + 1 / recipe.rate
        return Clip(path, tuple(shown), times, recipe.width, recipe.height, recipe.rotation, end)


def joined(first: Clip, second: Clip, path: Path) -> Clip:
    """Two transport streams end to end, as `cat` joins them."""
    path.write_bytes(first.path.read_bytes() + second.path.read_bytes())
    times = first.times + tuple(first.end + time for time in second.times)
    return replace(
        first,
        path=path,
        counters=first.counters + second.counters,
        times=times,
        end=first.end + second.end,
    )


def write_audio(path: Path, seconds: float = 1.0) -> Path:
    """A file with a tone and no picture."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        samples = int(16000 * seconds)
        wave = (np.sin(np.arange(samples) * 0.2) * 8000).astype(np.int16)
        for start in range(0, samples - 1023, 1024):
            part = wave[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _frame(picture: npt.NDArray[Any], pix_fmt: str) -> Any:
    """A frame of an array in `pix_fmt`; older PyAV knows none of 10 bits, so planes are filled."""
    if picture.dtype != np.uint16:
        return av.VideoFrame.from_ndarray(picture, format=pix_fmt)
    width, height = picture.shape[1], picture.shape[0] * 2 // 3
    frame = av.VideoFrame(width, height, pix_fmt)
    at = 0
    for plane in frame.planes:
        values = picture.ravel()[at : at + plane.width * plane.height]
        rows = np.zeros((plane.height, plane.line_size // 2), dtype=np.uint16)
        rows[:, : plane.width] = values.reshape(plane.height, plane.width)
        plane.update(rows.tobytes())
        at += plane.width * plane.height
    return frame


def write_pictures(
    path: Path,
    pictures: Sequence[Picture],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
) -> Path:
    """Encode arrays that already are in `pix_fmt`, at 25 a second, with colour tags on them."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        first = _frame(pictures[0], pix_fmt)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, pix_fmt
        stream.options = options or {}
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for index, picture in zip(itertools.count(), pictures, strict=False):
            frame = _frame(picture, pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            for name, value in (tags or {}).items():
                if hasattr(frame, name):
                    setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
