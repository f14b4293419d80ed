"""Measure how well "when does ... happen?" finds the right moment.

    python benchmarks/moments.py --data ../shared/data
    python benchmarks/moments.py --data ../shared/data --videos 20 --json

Videos of 5 real pictures of flickr8k's test split, 4 seconds each with a slow zoom; the question is
one of the captions of one of them. It is found where the best piece of evidence overlaps that
picture's 4 seconds with an intersection over union of at least 0.5. The last line is JSON with
`--json`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from videomm.evaluation.moments import temporal_iou
from videomm.pipeline import VideoPipeline, load
from videomm.training.image_data import ImageArchive, load_rows
from videomm.types import Array

PICTURES = 5
SECONDS = 4.0
FPS = 1.0
SIDE = 224
LEAST_OVERLAP = 0.5
TARGET = 55.0


def shot(picture: Image.Image) -> Array:
    """A slow zoom into the middle of a picture: uint8 (SECONDS * FPS, SIDE, SIDE, 3)."""
    frames = []
    for share in np.linspace(1.0, 0.85, round(SECONDS * FPS)):
        side = share * min(picture.size)
        left, top = ((length - side) / 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        frames.append(np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)))
    return np.stack(frames)


def ask_about(
    pipeline: VideoPipeline, pictures: Sequence[Image.Image], caption: str, place: int
) -> dict[str, Any]:
    """Ask when a caption happens in a video of pictures; it belongs to the `place`th of them."""
    pixels = np.concatenate([shot(picture) for picture in pictures])
    question = f"When does {caption.strip(' .')} happen?"
    answer = pipeline.ask(pixels, question, fps=FPS)
    best = 0.0
    if answer.evidence:
        found = answer.evidence[0]
        truth = (place * SECONDS, (place + 1) * SECONDS)
        best = float(temporal_iou((found.start, found.end), truth))
    return {"question": question, "answer": answer.answer, "overlap": round(best, 3)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; exit code 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--model", default="tiny", help="as for videomm ask")
    parser.add_argument("--videos", type=int, default=200, help="how many videos")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON on the last line")
    options = parser.parse_args(arguments)
    pipeline = load(options.model)
    archive, rng = ImageArchive(options.data), np.random.default_rng(options.seed)
    rows = [row for row in load_rows(options.data, "flickr8k") if row.split == "test"]
    asked = []
    for _ in range(options.videos):
        chosen = [rows[i] for i in rng.choice(len(rows), PICTURES, replace=False)]
        place = int(rng.integers(PICTURES))
        caption = str(rng.choice(chosen[place].captions))
        pictures = [archive.read(row) for row in chosen]
        asked.append(ask_about(pipeline, pictures, caption, place))
    found = sum(item["overlap"] >= LEAST_OVERLAP for item in asked)
    refused = sum(item["answer"] is None for item in asked)
    share = round(100 * found / options.videos, 1)
    print(f"found {found} of {options.videos} ({share} %), not found {refused}; target {TARGET} %")
    if options.json:
        figures = {"moments found, %": share, "refused": refused, "videos": options.videos}
        print(json.dumps({"benchmark": "moments", "figures": figures}))
    return int(share < TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
