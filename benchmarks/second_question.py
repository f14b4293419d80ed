"""What a second question about a known video costs, beside the first.

    python benchmarks/second_question.py [VIDEO] [--repeats 20]

Verifies that both give the same timeline, then times them; JSON on the last line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from videomm.cache import TimelineCache
from videomm.cli.demo import CLIP
from videomm.hub import load_model
from videomm.pipeline import VideoPipeline


def milliseconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Verify, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", nargs="?", default=str(CLIP))
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    labels = ["a cat", "an astronaut", "a cup of coffee"]
    with tempfile.TemporaryDirectory() as folder:
        pipe = VideoPipeline(load_model("tiny"), cache=TimelineCache(folder), progress=False)
        first = milliseconds(lambda: pipe.embed(args.video))
        known, again = pipe.embed(args.video), pipe.embed(args.video)
        assert np.array_equal(known.embeddings, again.embeddings)
        embed = [milliseconds(lambda: pipe.embed(args.video)) for _ in range(args.repeats)]
        ask = [milliseconds(lambda: pipe.classify(args.video, labels)) for _ in range(args.repeats)]
    report = {
        "first_embed_ms": round(first, 1),
        "known_embed_ms": round(statistics.median(embed), 2),
        "known_classify_ms": round(statistics.median(ask), 2),
        "frames": len(known),
    }
    for key, value in report.items():
        print(f"{key}: {value}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
