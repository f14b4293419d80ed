"""A cold `videomm classify` of a ten-second clip against `import torch` alone, in one run.

Each is a new Python process: one imports torch and ends; the other is the whole command, from
start to printed result, with the embedded model and no cache: imports, weights, the decoding
process, 20 frames, labels. The difference is what videomm costs on top of torch. The processes take
turns, so both find the same files in the system's cache.

    python benchmarks/cold_start.py [--threads 2] [--repeats 5]

Verifies that the command finds what the clip shows and imports none of the packages that take
seconds, then times; JSON with medians in seconds on the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from videomm.cli.demo import CLIP

SECONDS, RATE = 10, 25
CAT = slice(6, 9)  # seconds of the demo clip that show a cat
SLOW = ("open_clip", "timm", "transformers", "torchvision", "sklearn", "scipy", "matplotlib")


def make_clip(path: Path) -> None:
    """Ten seconds of the demo clip's cat as H.264."""
    with av.open(str(CLIP)) as source:
        frames = [f for f in source.decode(video=0) if CAT.start + 0.5 < f.time < CAT.stop - 0.5]
        pictures = [frame.to_image() for frame in frames]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuv420p"
        for number in range(SECONDS * RATE):
            picture = pictures[number % len(pictures)]
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))


def run(arguments: list[str], threads: int | None) -> tuple[float, str, str]:
    """Seconds, stdout and stderr of a Python process."""
    env = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, done.stdout, done.stderr


def main() -> None:
    """Make, verify, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="torch's own choice unless given")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip)
        labels = ["--labels", "a cat,a cup of coffee,a street", "--no-cache", "--device", "cpu"]
        classify = ["-m", "videomm.cli.main", "classify", str(clip), *labels, "--json"]
        _, out, err = run(["-X", "importtime", *classify], args.threads)
        found = json.loads(out)
        assert found["labels"][0]["label"] == "a cat", found
        assert found["sampling"]["num_times"] == 2 * SECONDS, found
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in err.splitlines()}
        assert "torch" in imported
        assert not imported & set(SLOW), f"imports {sorted(imported & set(SLOW))}"
        pairs = [
            (run(["-c", "import torch"], args.threads)[0], run(classify, args.threads)[0])
            for _ in range(args.repeats)
        ]
    torch_alone, whole = (statistics.median(column) for column in zip(*pairs, strict=True))
    report = {
        "threads": args.threads,
        "cores": os.cpu_count(),
        "import_torch_seconds": round(torch_alone, 2),
        "classify_seconds": round(whole, 2),
        "difference_seconds": round(statistics.median(b - a for a, b in pairs), 2),
    }
    for key, value in report.items():
        print(f"{key}: {value}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
