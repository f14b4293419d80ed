"""Classify a clip with the files of `videomm export`: onnxruntime, and videomm only to decode.

Usage: python examples/classify_onnx.py mymodel-onnx CLIP
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

import videomm
from videomm.sampling import plan_sampling
from videomm.types import Array


def prepare(frame: Array, settings: dict[str, Any]) -> Array:
    """A frame uint8 (H, W, 3) as image.onnx takes it: float32 (3, h, w)."""
    height, width = settings["size"]
    picture = Image.fromarray(frame)
    way = Image.Resampling[settings["interpolation"].upper()]
    if settings["resize_mode"] == "squash":
        picture = picture.resize((width, height), way)
    elif settings["resize_mode"] == "shortest" and height == width:
        ratio = height / min(picture.size)
        picture = picture.resize((int(picture.width * ratio), int(picture.height * ratio)), way)
        left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
        picture = picture.crop((left, top, left + width, top + height))
    else:
        sys.exit(f"this example does not resize as {settings['resize_mode']!r} says")
    scaled = (np.asarray(picture) / 255 - settings["mean"]) / settings["std"]
    return scaled.astype(np.float32).transpose(2, 0, 1)


def main(folder: Path, clip: str) -> None:
    """Print the labels with their scores, best first."""
    config = json.loads((folder / "model.json").read_text("utf-8"))
    image, classifier = (
        onnxruntime.InferenceSession(folder / name) for name in ("image.onnx", "classifier.onnx")
    )
    settings = config["preprocessing"]
    with videomm.open_video(clip) as reader:
        plan = plan_sampling(reader.info.duration)
        frames = reader.get_frames_at(plan.times, short_side=min(settings["size"]))
    times, places = np.unique(frames.times, return_index=True)
    images = np.stack([prepare(frames.pixels[place], settings) for place in places])
    (embeddings,) = image.run(None, {"images": images})
    mask = np.ones((1, len(times)), bool)
    feeds = {"embeddings": embeddings[None], "times": times[None], "mask": mask}
    scores, _ = classifier.run(None, feeds)
    for label, score in sorted(zip(config["labels"], scores[0], strict=True), key=lambda x: -x[1]):
        print(f"{score:.2f}   {label}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2])
