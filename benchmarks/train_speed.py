"""How long training on cached timelines takes.

    python benchmarks/train_speed.py [--clips 2000] [--frames 20] [--labels 10] [--tune temporal]

Synthetic timelines of the embedded model's width lie in a cache, and `train_classifier` runs on
them as it does on videos: as many clips as asked for to train, a fifth more each to validate and
to test. Verifies that the model tells the labels apart better than zero-shot, then prints the
times; JSON on the last line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videomm.cache import TimelineCache
from videomm.config import TrainConfig
from videomm.hub import load_model
from videomm.pipeline import VideoPipeline
from videomm.training import classifier
from videomm.training.classifier import train_classifier
from videomm.training.labelled import Example, LabelledData
from videomm.types import Array, Timeline


def unit(rows: Array) -> Array:
    """Rows scaled to length 1, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def cache_clips(
    pipeline: VideoPipeline, folder: Path, counts: dict[str, int], frames: int, labels: int
) -> LabelledData:
    """Put synthetic timelines in the cache, under files with their numbers in them.

    A frame is what all pictures share, a little of its label, of its clip and of its own.
    """
    rng = np.random.default_rng(0)
    dim = pipeline.model.encoder.dim
    shared, kinds = unit(rng.normal(size=(1, dim))), unit(rng.normal(size=(labels, dim)))
    examples = []
    for split, count in counts.items():
        for number in range(count):
            kind, length = (
                int(rng.integers(labels)),
                int(rng.integers(frames // 2, frames * 3 // 2)),
            )
            own = unit(rng.normal(size=(length, dim)))
            clip = unit(rng.normal(size=(1, dim)))
            path = folder / f"{split}{number}.mp4"
            path.write_text(path.name)
            timeline = Timeline(
                embeddings=unit(shared + 0.1 * kinds[kind] + 0.6 * clip + 0.6 * own),
                times=np.arange(length) / 2,
                duration=length / 2,
                encoder=pipeline.model.encoder.id,
                path=str(path),
                decoder="none",
                decoder_reason="made up",
                plan={},
            )
            assert pipeline.cache is not None
            key = pipeline.cache.key(
                path,
                decoder=pipeline.decoding.decoder,
                sampling=pipeline.sampling.to_dict(),
                encoder=pipeline.model.encoder.id,
            )
            pipeline.cache.put(key, timeline)
            examples.append(Example(str(path), (f"label {kind}",), split))
    names = tuple(sorted({e.labels[0] for e in examples}))
    return LabelledData(str(folder), tuple(examples), names, multi_label=False)


def main() -> None:
    """Make, train, verify, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=20, help="of a clip, on average")
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--tune", default="temporal")
    args = parser.parse_args()
    spent: dict[str, float] = {}

    def timed(name: str) -> None:
        real = getattr(classifier, name)

        def run(*arguments: Any, **options: Any) -> Any:
            start, cpu_start = time.perf_counter(), time.process_time()
            result = real(*arguments, **options)
            spent[name] = time.perf_counter() - start
            spent[f"{name}_cpu"] = time.process_time() - cpu_start
            return result

        setattr(classifier, name, run)

    for name in ("read_clips", "fit", "measure"):
        timed(name)
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        pipeline = VideoPipeline(
            load_model("tiny", "cpu"), cache=TimelineCache(folder / "cache"), progress=False
        )
        counts = {"train": args.clips, "val": args.clips // 5, "test": args.clips // 5}
        data = cache_clips(pipeline, folder, counts, args.frames, args.labels)
        start = time.perf_counter()
        config = TrainConfig(tune=args.tune)
        metrics = train_classifier(data, folder / "model", pipeline, config)
        total = time.perf_counter() - start
    assert metrics["gain"]["low"] > 0, metrics["gain"]
    report = {
        "clips": args.clips,
        "frames": args.frames,
        "dim": pipeline.model.encoder.dim,
        "threads": torch.get_num_threads(),
        "epochs": len(metrics["history"]) - 1,
        "top1": round(metrics["figures"]["top1"]["value"], 3),
        "zero_shot_top1": round(metrics["zero_shot"]["top1"]["value"], 3),
        "read_s": round(spent["read_clips"], 1),
        "fit_s": round(spent["fit"], 1),
        "fit_cpu_s": round(spent["fit_cpu"], 1),
        "measure_s": round(spent["measure"], 1),
        "total_s": round(total, 1),
    }
    for key, value in report.items():
        print(f"{key}: {value}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
