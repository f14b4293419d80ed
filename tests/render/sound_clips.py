"""Small videos with a flash and a beep at the same instants, to see whether they stay together."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

EVENTS = (0.6, 1.6, 2.6, 3.6)
RATE = 25


@dataclass(frozen=True)
class Heard:
    """What decoding a file gives."""

    frame_times: list[float]
    flashes: list[float]
    beeps: list[float]
    sound_seconds: float


def write_clip(
    path: Path,
    *,
    seconds: float = 4.4,
    audio: str | None = "aac",
    sample_rate: int = 44_100,
    layout: str = "mono",
    size: tuple[int, int] = (96, 64),
    video: str = "libx264",
    first_pts: int = 0,
) -> Path:
    """A grey picture that turns white for 80 ms at each event, with a tone for as long."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(video, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        tone: Any = None
        if audio:
            tone = container.add_stream(audio, rate=sample_rate)
            tone.layout = layout
        for index in range(round(seconds * RATE)):
            bright = any(0 <= index / RATE - event < 0.08 - 1e-6 for event in EVENTS)
            pixels = np.full((size[1], size[0], 3), 255 if bright else 60, np.uint8)
            # A moving mark, so that every frame is another one.
            pixels[:8, index % (size[0] - 8) :][:, :8] = 120
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = first_pts + index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            _write_tone(container, tone, seconds, sample_rate, layout, first_pts)
    return path


def _write_tone(
    container: Any, tone: Any, seconds: float, rate: int, layout: str, first_pts: int
) -> None:
    times = np.arange(round(seconds * rate)) / rate
    loud = np.zeros(len(times), bool)
    for event in EVENTS:
        loud |= (times >= event) & (times < event + 0.08)
    wave = (np.sin(times * 2 * np.pi * 900) * 0.8 * loud).astype(np.float32)
    channels = 1 if layout == "mono" else 2
    offset = first_pts * rate // RATE
    for start in range(0, len(wave), 1024):
        part = np.repeat(wave[None, start : start + 1024], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, offset + start
        frame.time_base = Fraction(1, rate)
        container.mux(tone.encode(frame))
    container.mux(tone.encode())


def watch(path: Path) -> Heard:
    """Decode a file and say when it flashes and beeps."""
    with av.open(str(path)) as container:
        shown = [(float(f.time), f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    times = [time for time, _ in shown]
    bright = [float(pixels.mean()) > 150 for _, pixels in shown]
    flashes = [
        t
        for t, now, before in zip(times, bright, [False, *bright], strict=False)
        if now and not before
    ]
    beeps, seconds = _beeps(path)
    return Heard(times, flashes, beeps, seconds)


def _beeps(path: Path) -> tuple[list[float], float]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return [], 0.0
        frames = list(container.decode(audio=0))
    rate = frames[0].sample_rate
    wave = np.concatenate([np.abs(f.to_ndarray()).max(axis=0) for f in frames])
    first = float(frames[0].time)
    loud = np.convolve(wave, np.ones(rate // 200), "same") / (rate // 200) > 0.1
    starts = np.flatnonzero(loud[1:] & ~loud[:-1]) / rate + first
    return starts.tolist(), first + len(wave) / rate
