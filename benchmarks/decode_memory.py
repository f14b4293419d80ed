"""Memory and speed of decoding: a one-hour video in bounded memory, and the ratio to decord.

Run from the repository root: `python benchmarks/decode_memory.py [--minutes 60]`. Correctness
comes first: every frame's number is read and compared before anything is timed. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av  # before decord, which would otherwise lend PyAV its libraries
import numpy as np
import numpy.typing as npt

from videomm.config import DecodingConfig
from videomm.video.probe import probe
from videomm.video.pyav_decoder import PyavDecoder
from videomm.video.reader import open_video
from videomm.video.worker import default_worker

WIDTH, HEIGHT, RATE = 1280, 720, 25
LOOP_FRAMES = 1000
BITS, SQUARE = 10, 64
SHORT_SIDE = 224
MEMORY_LIMIT_MB = 400.0


def draw(number: int) -> npt.NDArray[np.uint8]:
    """uint8 (720, 1280, 3): a slowly moving pattern with the number as squares on top."""
    column = np.arange(WIDTH, dtype=np.int64)[None, :]
    row = np.arange(HEIGHT, dtype=np.int64)[:, None]
    grey = ((column + row + 2 * number) // 8 % 256).astype(np.uint8)
    for bit in range(BITS):
        grey[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = 255 * ((number >> bit) & 1)
    return np.repeat(grey[..., None], 3, axis=2)


def read_number(picture: npt.NDArray[np.uint8]) -> int:
    """The number in a frame of any size."""
    scale = picture.shape[0] / HEIGHT
    y, half = int(SQUARE * scale / 2), max(1, int(SQUARE * scale / 4))
    middles = [int((bit + 0.5) * SQUARE * scale) for bit in range(BITS)]
    return sum(
        int(picture[y - half : y + half, x - half : x + half].mean() > 127) << bit
        for bit, x in enumerate(middles)
    )


def write_loop(path: Path, frames: int) -> None:
    """A numbered 720p H.264 clip with B-frames and closed GOPs."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "superfast", "crf": "28", "x264-params": "keyint=250"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def repeat(source: Path, target: Path, times: int) -> None:
    """The same packets over and over, with shifted timestamps: no encoding."""
    with av.open(str(target), "w") as out:
        copy = None
        for turn in range(times):
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                shift = round(turn * LOOP_FRAMES / (RATE * (stream.time_base or 1)))
                for packet in container.demux(stream):
                    if packet.size and packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = copy
                        out.mux(packet)


class MemoryWatch:
    """The largest memory of this process and its workers together, by their proportional share."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.peak_mb = max(self.peak_mb, memory_mb())


def memory_mb() -> float:
    """PSS of this process and the decoding processes in MB; Linux only."""
    total = 0
    for pid in [os.getpid(), *default_worker().pids]:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def read_long(path: Path, fps: float) -> dict[str, Any]:
    """Read the long video at `fps`; every number is checked, so a wrong frame stops the run."""
    idle = memory_mb()
    with MemoryWatch() as watch:
        started = time.perf_counter()
        with open_video(path) as reader:
            opened = time.perf_counter() - started
            count = int(reader.info.duration * fps)
            seen = 0
            for batch in reader.iter_frames_at(np.arange(count) / fps, short_side=SHORT_SIDE):
                for picture, moment in zip(batch.pixels, batch.times, strict=True):
                    expected = round(moment * RATE) % LOOP_FRAMES
                    if read_number(picture) != expected:
                        raise SystemExit(f"wrong frame at {moment} s: not {expected}")
                    wanted = np.floor(seen / fps * RATE + 1e-6) / RATE
                    if abs(moment - wanted) > 1e-6:
                        raise SystemExit(f"wrong time {moment} s for {seen / fps} s")
                    seen += 1
            info = reader.info
        seconds = time.perf_counter() - started
    return {
        "video_minutes": round(info.duration / 60, 2),
        "decoder": info.decoder,
        "decoder_reason": info.decoder_reason,
        "frames": seen,
        "wrong": 0,
        "open_seconds": round(opened, 2),
        "seconds": round(seconds, 1),
        "frames_per_second": round(seen / seconds, 1),
        "video_seconds_per_second": round(info.duration / seconds, 1),
        "idle_mb": round(idle, 1),
        "peak_growth_mb": round(watch.peak_mb - idle, 1),
    }


def compare(path: Path, count: int) -> dict[str, Any]:
    """Seconds for `count` even frames of a clip: plain decord, PyAV here, and the whole reader."""
    import decord

    numbers = np.linspace(0, LOOP_FRAMES - 1, count).astype(int)
    times = numbers / RATE
    size = (SHORT_SIDE * WIDTH // HEIGHT, SHORT_SIDE)

    def plain_decord() -> Iterator[npt.NDArray[np.uint8]]:
        reader = decord.VideoReader(str(path), width=size[0], height=size[1])
        yield from reader.get_batch(numbers.tolist()).asnumpy()

    def pyav_here() -> Iterator[npt.NDArray[np.uint8]]:
        found = probe(str(path), DecodingConfig(decoder="pyav"))
        for shown in PyavDecoder(found, SHORT_SIDE).shown_at(times, lambda: False):
            assert shown.pixels is not None
            yield shown.pixels

    def whole_reader() -> Iterator[npt.NDArray[np.uint8]]:
        with open_video(path) as reader:
            yield from reader.get_frames_at(times, short_side=SHORT_SIDE).pixels

    seconds = {}
    for way in (plain_decord, pyav_here, whole_reader):
        got = [read_number(picture) for picture in way()]
        if got != numbers.tolist():
            raise SystemExit(f"{way.__name__} gives wrong frames")
        runs = []
        for _ in range(3):
            started = time.perf_counter()
            list(way())
            runs.append(time.perf_counter() - started)
        seconds[way.__name__] = min(runs)
    base = seconds["plain_decord"]
    return {
        "frames": count,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "times_faster_than_decord": {
            name: round(base / value, 2) for name, value in seconds.items()
        },
    }


def main() -> None:
    """Make the videos, check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the long video")
    parser.add_argument("--fps", type=float, default=2.0, help="frames read a second of video")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        loop, long = Path(name) / "loop.mp4", Path(name) / "long.mp4"
        write_loop(loop, LOOP_FRAMES)
        repeat(loop, long, max(1, round(arguments.minutes * 60 * RATE / LOOP_FRAMES)))
        short = Path(name) / "short.mp4"
        write_loop(short, 25)
        open_video(short).get_frames_at([0.0])  # the worker is there and idle
        result = read_long(long, arguments.fps)
        result["compare_40_s_720p"] = [compare(loop, count) for count in (8, 32, 200)]
    result["within_limit"] = result["peak_growth_mb"] < MEMORY_LIMIT_MB
    print(json.dumps(result))
    if not result["within_limit"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
