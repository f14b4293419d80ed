"""What pictures, spoken words and their fusion can tell where only their agreement tells.

    python benchmarks/fusion.py [--clips 180] [--epochs 30] [--lr 30]

Generates clips that show three colours one after the other, each once, while subtitles name the
same three, each once. One colour is named while it is shown, the other two are named while the
other is shown: that one is the class. Every class goes with every order of pictures alike, and
with every order of words, so that either modality alone says nothing: its best is chance, 1/3.

Nor could scores that are averaged over time within each modality and then added: a class that
neither modality knows has the same mean score in both as every other. Late fusion mixes moment by
moment, early fusion lets frames attend to words.

Trains with `train_classifier` on the same clips with each fusion, and on the same words over grey
pictures. Verifies the balance and that subtitles are read back first; JSON on the last line.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from videomm.cache import TimelineCache
from videomm.config import SamplingConfig, SpeechConfig, TrainConfig
from videomm.hub import load_model
from videomm.pipeline import VideoPipeline
from videomm.training.classifier import train_classifier
from videomm.training.labelled import read_labelled
from videomm.types import Array

COLOURS = {"red": (210, 40, 40), "green": (40, 190, 40), "blue": (40, 60, 210)}
GREY = (128, 128, 128)
SENTENCES = ("{}", "now it is {}", "here comes {}", "and {} again")
SIZE = 64
RATE = 4  # frames a second
FRAMES = 9  # of a clip that are looked at
CHANCE = 1 / len(COLOURS)
# Name of a row to the pictures and the fusion that it is trained with.
ROWS = {
    "pictures alone": ("colours", "none"),
    "words alone": ("grey", "late"),
    "early": ("colours", "early"),
    "late": ("colours", "late"),
    "hybrid": ("colours", "hybrid"),
}


@dataclass(frozen=True)
class Script:
    """What a clip shows and says: K stretches of one colour each.

    Attributes:
        shown: the colour of each stretch.
        said: the colour that is named in each.
        label: the one that is named while it is shown.
    """

    shown: tuple[str, ...]
    said: tuple[str, ...]
    label: str


def all_scripts() -> list[Script]:
    """Every order of pictures with every order of words that agree in one place."""
    orders = list(itertools.permutations(COLOURS))
    out = []
    for shown, said in itertools.product(orders, orders):
        agreed = [a for a, b in zip(shown, said, strict=True) if a == b]
        if len(agreed) == 1:
            out.append(Script(shown, said, agreed[0]))
    return out


def verify_balance(scripts: list[Script]) -> None:
    """Each order of pictures, and each of words, goes with all classes alike."""
    for part in ("shown", "said"):
        counts = Counter((getattr(item, part), item.label) for item in scripts)
        assert len(counts) == 6 * len(COLOURS), counts
        assert len(set(counts.values())) == 1, counts


def write_clip(path: Path, script: Script, seed: int, grey: bool) -> None:
    """A video of moving patterns in the script's colours, and the subtitles beside it."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(6, 11, len(script.shown))  # frames: 1.5 to 2.5 s
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        stream.options = {"preset": "ultrafast", "bf": "0"}
        for name, length in zip(script.shown, lengths, strict=True):
            for picture in _pictures(GREY if grey else COLOURS[name], int(length), rng):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    lines, start = [], 0.0
    for number, (name, length) in enumerate(zip(script.said, lengths, strict=True), 1):
        end = start + length / RATE
        text = rng.choice(SENTENCES).format(name)
        lines += [str(number), f"{_stamp(start + 0.2)} --> {_stamp(end - 0.2)}", text, ""]
        start = end
    path.with_suffix(".srt").write_text("\n".join(lines), encoding="utf-8")


def _pictures(colour: tuple[int, ...], count: int, rng: np.random.Generator) -> Iterator[Array]:
    period, noise, phase = rng.integers(6, 16), rng.uniform(5, 40), rng.integers(16)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    slant = rng.integers(0, 3)
    for index in range(count):
        bright = (x + slant * y + phase + 2 * index) // period % 2
        picture = (bright[..., None] * 0.5 + 0.5) * np.array(colour)
        picture = picture + rng.normal(0, noise, (SIZE, SIZE, 3))
        yield np.clip(picture, 0, 255).astype(np.uint8)


def _stamp(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"00:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def write_set(folder: Path, counts: dict[str, int], grey: bool) -> Path:
    """A CSV file of clips with their labels and splits; the scripts come in turn, shuffled."""
    folder.mkdir()
    scripts = all_scripts()
    rows: list[tuple[str, str, str]] = []
    seed = 0
    for split, count in counts.items():
        order = np.random.default_rng(len(rows)).permutation(count)
        for place in order:
            script, path = scripts[place % len(scripts)], folder / f"{split}{seed}.mp4"
            write_clip(path, script, seed, grey)
            rows.append((path.name, script.label, split))
            seed += 1
    table = folder / "clips.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return table


def verify_subtitles(pipeline: VideoPipeline, folder: Path) -> None:
    """What is read of a clip is what was written, within its stretches."""
    for path in sorted(folder.glob("test*.mp4"))[:3]:
        timeline = pipeline.embed(path)
        assert timeline.speech is not None
        written = [b.splitlines()[2] for b in path.with_suffix(".srt").read_text().split("\n\n")]
        assert [item.text for item in timeline.speech.subtitles] == written, written
        assert timeline.speech.spans[-1, 1] <= timeline.duration + 1e-6


def main() -> None:
    """Generate, verify, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--clips", type=int, default=180, help="to train; half as many more to test"
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--lr", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", default=",".join(ROWS), help="of the table")
    args = parser.parse_args()
    verify_balance(all_scripts())
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        counts = {"train": args.clips, "val": args.clips // 5, "test": args.clips // 2}
        pipeline = VideoPipeline(
            load_model("tiny", "cpu"),
            SamplingConfig(num_frames=FRAMES),
            cache=TimelineCache(folder / "cache"),
            progress=False,
            speech=SpeechConfig(),
        )
        tables = {
            name: write_set(folder / name, counts, name == "grey") for name in ("colours", "grey")
        }
        verify_subtitles(pipeline, folder / "colours")
        print(f"{counts['test']} test clips; chance {CHANCE:.3f}, and no more for either alone")
        for row in args.rows.split(","):
            pictures, fusion = ROWS[row]
            config = TrainConfig(fusion=fusion, epochs=args.epochs, lr=args.lr, seed=args.seed)
            data = read_labelled(tables[pictures])
            metrics = train_classifier(data, folder / f"model-{row}", pipeline, config)
            results[row] = metrics["figures"]["top1"] | {
                "untrained": metrics["zero_shot"]["top1"]["value"],
                "epoch": metrics["epoch"],
            }
            print(_line(row, results[row]), flush=True)
    report = {
        "clips": counts,
        "chance": CHANCE,
        "epochs": args.epochs,
        "lr": args.lr,
        "seed": args.seed,
        "threads": torch.get_num_threads(),
        "top1": results,
    }
    print(json.dumps(report))


def _line(row: str, figures: dict[str, Any]) -> str:
    low, high = figures["low"], figures["high"]
    return (
        f"{row:<15} top-1 {figures['value']:.3f} [{low:.3f}, {high:.3f}]"
        f"   untrained {figures['untrained']:.3f}"
    )


if __name__ == "__main__":
    main()
