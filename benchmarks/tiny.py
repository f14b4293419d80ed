"""Measure the embedded model as open_clip itself loads it.

    python benchmarks/tiny.py --data ../shared/data
    python benchmarks/tiny.py --data ../shared/data --split val --json
    python benchmarks/tiny.py --data ../shared/data --model DIR --unseen

Retrieval on flickr8k, zero-shot accuracy on the label sets, and on the test split the clips with
the 24 labels of ``clips/labels.csv``. ``--unseen`` is for what ``python -m videomm.training.tiny
--unseen`` wrote: pictures of the classes that it left out, among the names of all; apart for those
that ImageNet has a name of, which the teacher's posterior speaks of. The last line is JSON with
``--json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from videomm.encoder import LABEL_TEMPLATES
from videomm.evaluation.metrics import first_right_ranks, recall_at_k, top_k_accuracy
from videomm.training.image_data import LABEL_SETS, ImageArchive, ImageRow, load_rows
from videomm.training.text_data import fill, load_imagenet_names
from videomm.training.unseen import UNSEEN_SET, naming, unseen_classes

FOLDER = Path(__file__).resolve().parent.parent / "videomm" / "weights" / "tiny"
FRAMES_A_SECOND = 2.0
MIN_FRAMES = 8
TARGETS = {
    "flickr8k i2t R@1": 21.1,
    "flickr8k i2t R@5": 48.5,
    "flickr8k i2t R@10": 60.1,
    "flickr8k t2i R@1": 16.1,
    "flickr8k t2i R@5": 41.4,
    "flickr8k t2i R@10": 55.0,
    "sports100 top-1": 87.1,
    "caltech101 top-1": 85.8,
    "intel_scenes top-1": 88.0,
    "clips right of 22": 12,
}


class Encoder:
    """The model folder, loaded by open_clip with its own preprocessing and tokenizer."""

    def __init__(self, folder: Path) -> None:
        name = f"local-dir:{folder.resolve()}"
        model, self.preprocess = open_clip.create_model_from_pretrained(name)
        self.model: Any = model.eval()
        self.tokenizer: Any = open_clip.get_tokenizer(name)

    @torch.no_grad()
    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Embeddings (N, D), L2-normalised."""
        batch = torch.stack([self.preprocess(image) for image in images])
        return F.normalize(self.model.encode_image(batch), dim=-1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Embeddings (N, D), L2-normalised."""
        parts = [
            F.normalize(
                self.model.encode_text(self.tokenizer(list(texts[i : i + batch_size]))), dim=-1
            )
            for i in range(0, len(texts), batch_size)
        ]
        return torch.cat(parts)

    def labels(self, labels: Sequence[str]) -> Tensor:
        """One embedding a label: the mean over the prompts, L2-normalised."""
        prompts = [fill(template, label) for label in labels for template in LABEL_TEMPLATES]
        means = self.texts(prompts).view(len(labels), len(LABEL_TEMPLATES), -1).mean(1)
        return F.normalize(means, dim=-1)


def embed_rows(encoder: Encoder, data: Path, rows: Sequence[ImageRow], batch: int = 64) -> Tensor:
    """Image embeddings of rows, in order."""
    archive = ImageArchive(data)
    parts = [
        encoder.images([archive.read(row) for row in rows[i : i + batch]])
        for i in range(0, len(rows), batch)
    ]
    return torch.cat(parts)


def measure_retrieval(encoder: Encoder, data: Path, split: str) -> dict[str, float]:
    """flickr8k, five captions an image, in percent."""
    rows = [row for row in load_rows(data, "flickr8k") if row.split == split]
    images = embed_rows(encoder, data, rows)
    texts = encoder.texts([caption for row in rows for caption in row.captions])
    scores = (images @ texts.T).numpy()
    owner = np.repeat(np.arange(len(rows)), [len(row.captions) for row in rows])
    right = np.arange(len(rows))[:, None] == owner[None]
    figures = {}
    for name, values, truth in (("i2t", scores, right), ("t2i", scores.T, right.T)):
        for k, share in recall_at_k(values, truth).items():
            figures[f"flickr8k {name} R@{k}"] = round(100 * share, 1)
    return figures


def measure_labels(encoder: Encoder, data: Path, split: str) -> dict[str, float]:
    """Zero-shot top-1 accuracy among each set's own labels, in percent."""
    figures = {}
    for name in LABEL_SETS:
        every = load_rows(data, name)
        classes = sorted({str(row.label) for row in every})
        rows = [row for row in every if row.split == split]
        truth = np.array([classes.index(str(row.label)) for row in rows])
        scores = embed_rows(encoder, data, rows) @ encoder.labels(classes).T
        figures[f"{name} top-1"] = round(100 * top_k_accuracy(scores.numpy(), truth), 1)
    return figures


def measure_unseen(encoder: Encoder, data: Path, split: str) -> dict[str, float]:
    """Top-1 accuracy on pictures of `unseen_classes` among the labels of all, in percent."""
    every = load_rows(data, UNSEEN_SET)
    classes = sorted({str(row.label) for row in every})
    rows = [row for row in every if row.split == split and row.label in unseen_classes(data)]
    truth = np.array([classes.index(str(row.label)) for row in rows])
    scores = (embed_rows(encoder, data, rows) @ encoder.labels(classes).T).numpy()
    known = " / ".join(name for names in load_imagenet_names(data) for name in names)
    named = np.array([bool(naming([str(row.label)]).search(known)) for row in rows])
    parts = {"": named | ~named, ", named in ImageNet": named, ", others": ~named}
    return {
        f"{UNSEEN_SET} unseen top-1{name} ({part.sum()} pictures)": round(
            100 * top_k_accuracy(scores[part], truth[part]), 1
        )
        for name, part in parts.items()
    }


def read_clip(path: Path) -> list[Image.Image]:
    """Two frames a second, at least eight, evenly spread: the frame on screen at each time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(frame.time or 0.0, frame.to_image()) for frame in container.decode(stream)]
    start = frames[0][0]
    times = np.array([time - start for time, _ in frames])
    duration = times[-1] + (times[-1] / (len(times) - 1) if len(times) > 1 else 0.0)
    count = max(MIN_FRAMES, int(duration * FRAMES_A_SECOND))
    wanted = (np.arange(count) + 0.5) * duration / count
    chosen = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(frames) - 1)
    return [frames[i][1].convert("RGB") for i in chosen]


def measure_clips(encoder: Encoder, data: Path) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Each clip's labels ranked by the mean frame embedding; a row a clip."""
    with (data / "clips" / "labels.csv").open(encoding="utf-8", newline="") as lines:
        table = list(csv.DictReader(lines))
    labels = [row["label"] for row in table]
    texts = encoder.labels(labels)
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(table):
        if not row["file"]:
            continue
        frames = encoder.images(read_clip(data / "clips" / row["file"]))
        scores = (F.normalize(frames.mean(0, keepdim=True), dim=-1) @ texts.T).numpy()
        right = np.arange(len(labels))[None] == number
        rank = int(first_right_ranks(scores, right)[0])
        guess = labels[int(scores.argmax())]
        rows.append({"file": row["file"], "label": row["label"], "rank": rank, "first": guess})
    first = sum(row["rank"] == 1 for row in rows)
    five = sum(row["rank"] <= 5 for row in rows)
    return {f"clips right of {len(rows)}": first, f"clips in first 5 of {len(rows)}": five}, rows


def print_tables(figures: dict[str, float], clips: list[dict[str, Any]], split: str) -> None:
    """Tables for people."""
    print(f"| measure ({split}) | value | target |\n|---|---|---|")
    for name, value in figures.items():
        target = TARGETS.get(name, "") if split == "test" else ""
        print(f"| {name} | {value:g} | {target} |")
    if clips:
        print("\n| clip | right label | rank | first |\n|---|---|---|---|")
        for row in clips:
            print(f"| {row['file']} | {row['label']} | {row['rank']} | {row['first']} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements; exit code 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--model", type=Path, default=FOLDER, help="an open_clip model folder")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--unseen", action="store_true", help="measure the classes left out alone")
    parser.add_argument("--json", action="store_true", help="print JSON on the last line")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    encoder = Encoder(options.model)
    clips: list[dict[str, Any]] = []
    if options.unseen:
        figures = measure_unseen(encoder, options.data, options.split)
    else:
        figures = measure_retrieval(encoder, options.data, options.split)
        figures |= measure_labels(encoder, options.data, options.split)
    if options.split == "test" and not options.unseen:
        clip_figures, clips = measure_clips(encoder, options.data)
        figures |= clip_figures
    figures["folder MB"] = round(sum(p.stat().st_size for p in options.model.iterdir()) / 1e6, 1)
    figures["seconds"] = round(time.monotonic() - started, 1)
    print_tables(figures, clips, options.split)
    if options.json:
        result = {"benchmark": "tiny", "split": options.split, "figures": figures, "clips": clips}
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
