"""Are hard cuts found? Generated compositions of real images, each shown as a moving shot.

A composition is 4 to 10 pictures, each on screen for 2 to 6 seconds while the camera pans and
zooms over it, cut hard, looked at twice a second. A change point counts as right within one
sampling step of a cut; each cut is found at most once.

    python benchmarks/scenes.py [--data DIR] [--count 50] [--json] [--choose]

Reports precision and recall on the test split of flickr8k; JSON on the last line. `--choose`
instead compares penalties on its train split; `PENALTY` in videomm/tasks/scenes.py is the least one
whose F1 there is within 0.01 of the best, since changes in real videos are softer than these cuts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from videomm.encoder import FrameEncoder, load_encoder
from videomm.tasks.scenes import PENALTY, find_scenes
from videomm.timeline import timeline_from_frames
from videomm.types import Array, Timeline

FPS = 2.0
SIDE = 224
DATA = Path(os.environ.get("VIDEOMM_DATA", "../shared/data"))


@dataclass(frozen=True)
class Composition:
    """A made-up video and the seconds of its cuts."""

    timeline: Timeline
    cuts: tuple[float, ...]


def load_split(data: Path, name: str, split: str) -> list[bytes]:
    """The files of one split of an image set, in the order of its list."""
    rows = [json.loads(line) for line in (data / "images" / f"{name}.jsonl").open()]
    wanted = {row["file"] for row in rows if row["split"] == split}
    with tarfile.open(data / "images" / f"{name}.tar") as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member) if member.name in wanted else None
            if file is not None:
                found[member.name] = file.read()
    return [found[row["file"]] for row in rows if row["file"] in found]


def moving_shot(data: bytes, count: int, rng: random.Random) -> Array:
    """uint8 (count, 224, 224, 3): a camera that pans and zooms over a picture."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    short = min(picture.size)
    start, end = ((rng.uniform(0.6, 1.0), rng.random(), rng.random()) for _ in range(2))
    frames = []
    for index in range(count):
        share = index / max(count - 1, 1)
        view, x, y = ((1 - share) * a + share * b for a, b in zip(start, end, strict=True))
        side = view * short
        left, top = x * (picture.width - side), y * (picture.height - side)
        box = (left, top, left + side, top + side)
        frames.append(np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)))
    return np.stack(frames)


def compose(pictures: list[bytes], encoder: FrameEncoder, rng: random.Random) -> Composition:
    """Pictures one after the other; cuts fall between sampled times, as in real videos."""
    lengths = [rng.uniform(2.0, 6.0) for _ in pictures]
    cuts = tuple(float(cut) for cut in np.cumsum(lengths)[:-1])
    times = np.arange(0, sum(lengths), 1 / FPS)
    owner = np.searchsorted(cuts, times, side="right")
    shots = [
        moving_shot(data, int((owner == place).sum()), rng) for place, data in enumerate(pictures)
    ]
    return Composition(timeline_from_frames(np.concatenate(shots), encoder, fps=FPS), cuts)


def make_compositions(
    data: Path, split: str, count: int, encoder: FrameEncoder, seed: int = 0
) -> list[Composition]:
    """Compositions of different pictures of one split of flickr8k."""
    rng = random.Random(seed)
    files = load_split(data, "flickr8k", split)
    return [compose(rng.sample(files, rng.randint(4, 10)), encoder, rng) for _ in range(count)]


def count_hits(found: list[float], cuts: tuple[float, ...], tolerance: float) -> int:
    """How many cuts have a change point of their own within the tolerance; both ascending."""
    hits, place = 0, 0
    for cut in cuts:
        while place < len(found) and found[place] < cut - tolerance:
            place += 1
        if place < len(found) and found[place] <= cut + tolerance:
            hits, place = hits + 1, place + 1
    return hits


def evaluate(compositions: list[Composition], penalty: float) -> dict[str, float]:
    """Precision and recall over all cuts of all compositions."""
    hits = found = cuts = 0
    for item in compositions:
        scenes = find_scenes(item.timeline, penalty=penalty)
        points = [float(item.timeline.times[first]) for first, _ in scenes[1:]]
        hits += count_hits(points, item.cuts, 1 / FPS + 1e-6)
        found, cuts = found + len(points), cuts + len(item.cuts)
    precision, recall = hits / max(found, 1), hits / cuts
    return {
        "cuts": cuts,
        "found": found,
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / max(precision + recall, 1e-9), 4),
    }


def main() -> None:
    """Measure on test, or choose on train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--choose", action="store_true", help="compare penalties on train")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON line")
    args = parser.parse_args()
    split = "train" if args.choose else "test"
    encoder = load_encoder(args.model)
    compositions = make_compositions(args.data, split, args.count, encoder)
    frames = sum(len(item.timeline) for item in compositions)
    report = {"split": f"flickr8k {split}", "model": encoder.id, "count": args.count}
    report |= {"frames": frames}
    if args.choose:
        tried = [round(0.1 * 2 ** (step / 2), 3) for step in range(11)]
        rows = {str(penalty): evaluate(compositions, penalty) for penalty in tried}
        enough = max(row["f1"] for row in rows.values()) - 0.01
        chosen = next(key for key, row in rows.items() if row["f1"] >= enough)
        report |= {"penalties": rows, "chosen": float(chosen)}
    else:
        report |= {"penalty": PENALTY, **evaluate(compositions, PENALTY)}
    if not args.json:
        for key, value in report.items():
            rows_of = value.items() if isinstance(value, dict) else [("", value)]
            for name, item in rows_of:
                print(f"{key} {name}: {item}" if name else f"{key}: {item}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
