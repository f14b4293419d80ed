"""Folders of small generated clips, a folder a label, for training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from tests.clips import Picture, write_pictures

WIDTH, HEIGHT = 64, 48
COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
PATTERNS = ("checks", "dots", "stripes")


def write_colour(path: Path, colour: tuple[int, int, int], seed: int, frames: int = 10) -> Path:
    """A clip of stripes in a colour that move and differ by seed, 25 a second."""
    return _write(path, "stripes", np.array(colour), seed, frames)


def write_pattern(path: Path, pattern: str, seed: int, frames: int = 10) -> Path:
    """A clip of a pattern that moves, in a colour and size that differ by seed, 25 a second."""
    colour = np.random.default_rng(10_000 + seed).integers(90, 256, 3)
    return _write(path, pattern, colour, seed, frames)


def write_folders(
    folder: Path, labels: list[str], clips: int, write: Callable[..., Path] | None = None
) -> Path:
    """A folder a label with that many clips each: of colours, or of what `write` makes."""
    for place, label in enumerate(labels):
        for number in range(clips):
            target, seed = folder / label / f"{number}.mp4", 100 * place + number
            if write is None:
                write_colour(target, COLOURS[label], seed)
            else:
                write(target, label, seed)
    return folder


def _write(path: Path, pattern: str, colour: Picture, seed: int, frames: int) -> Path:
    rng = np.random.default_rng(seed)
    size, noise = int(rng.integers(6, 16)), float(rng.uniform(5, 60))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pictures = []
    for index in range(frames):
        moved = x + 2 * index
        bright = {
            "stripes": moved // size % 2,
            "checks": (moved // size + y // size) % 2,
            "dots": np.hypot(moved % size - size / 2, y % size - size / 2) < size / 3,
        }[pattern]
        picture = (bright[..., None] * 0.5 + 0.5) * colour + rng.normal(
            0, noise, (HEIGHT, WIDTH, 3)
        )
        frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), "rgb24")
        pictures.append(frame.reformat(format="yuv420p").to_ndarray())
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_pictures(path, pictures)


def write_parts(path: Path, parts: list[tuple[str, float]], seed: int) -> Path:
    """A video of parts, each a colour's name and its seconds, 25 pictures a second."""
    rng = np.random.default_rng(seed)
    pictures = []
    for name, seconds in parts:
        for _ in range(round(25 * seconds)):
            picture = COLOURS[name] + rng.normal(0, 30, (HEIGHT, WIDTH, 3))
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), "rgb24")
            pictures.append(frame.reformat(format="yuv420p").to_ndarray())
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_pictures(path, pictures)


def write_segments(folder: Path, videos: int) -> Path:
    """Videos in which blue is on screen, then red, then blue, then green; a row a red or green."""
    rows = ["path,start,end,label"]
    for number in range(videos):
        rng = np.random.default_rng(number)
        lengths = [float(seconds) / 2 for seconds in rng.integers(2, 6, 4)]
        parts = list(zip(("blue", "red", "blue", "green"), lengths, strict=True))
        write_parts(folder / f"{number}.mp4", parts, number)
        red, green = lengths[0], sum(lengths[:3])
        rows.append(f"{number}.mp4,{red},{red + lengths[1]},red")
        rows.append(f"{number}.mp4,{green},,green")
    table = folder / "segments.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def write_ratings(folder: Path, videos: int, people: int = 3) -> Path:
    """Videos of colours in which people like what is green; in the form of TVSum's file."""
    rows = []
    for number in range(videos):
        rng = np.random.default_rng(number)
        names = rng.permutation(["blue", "red", "blue", "green", "red"]).tolist()
        write_parts(folder / "videos" / f"v{number}.mp4", [(name, 1.5) for name in names], number)
        for _ in range(people):
            liked = [4 if name == "green" else 2 for name in names]
            scores = np.repeat(liked, 3) + rng.integers(-1, 2, 15)
            rows.append(f"v{number}\tLI\t{','.join(map(str, scores.tolist()))}")
    table = folder / "anno.tsv"
    table.write_text("\n".join(rows) + "\n")
    return table
