"""Temporal segmentation of GTEA, beside a published table.

    python benchmarks/gtea.py --data DIR [--seeds 3] [--json]

28 videos of 4 people, 11 labels (0 is background), the spatial CNN's features of Lea et al. 2017
(https://arxiv.org/abs/1611.05267) at 3 frames a second, one person left out at a time:
mean over a split's videos, then over the 4 splits, then over seeds. The network is tiny: one thread
(OMP_NUM_THREADS=1) does.

One setting for all splits, that of `FrameLabelConfig` and `FrameLabelTraining`, chosen on training
videos alone: one person of each split held out, and that person's features mixed with others' until
a per-frame classifier was right in about 54 % of frames. They had to be: features were fitted to
all training people, and tell labels apart there (88 %) as they do not for a new person.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from videomm.evaluation.segmentation import Labels, score_segmentation
from videomm.models.frame_labels import FrameLabelConfig
from videomm.training.frame_labels import FrameLabelTraining, LabelledFrames, fit_frame_labels
from videomm.training.progress import report

SPLITS = (1, 2, 3, 4)
NUM_LABELS = 11
BACKGROUND = 0
FPS = 3.0
COLUMNS = ("accuracy", "edit", "f1@10", "f1@25", "f1@50")
PUBLISHED = {"accuracy": 64.0, "f1@10": 72.2, "f1@25": 69.3, "f1@50": 56.0}
Figures = dict[str, float]
Predict = Callable[[LabelledFrames], Labels]


def load_split(data: Path, split: int) -> tuple[list[LabelledFrames], list[LabelledFrames]]:
    """Training and test videos; the features were fitted to the split's training videos."""
    with np.load(data / "temporal" / "gtea_spatialcnn.npz") as archive:

        def load(part: str) -> list[LabelledFrames]:
            videos = []
            for name in archive[f"Split_{split}/{part}"]:
                labels = archive[f"Split_{split}/{name}/Y"].astype(np.int64)
                features = archive[f"Split_{split}/{name}/A"].astype(np.float32)
                videos.append(LabelledFrames(features, np.arange(len(labels)) / FPS, labels))
            return videos

        return load("train"), load("test")


def fit_majority(videos: Sequence[LabelledFrames]) -> Predict:
    """The most frequent label, always."""
    counts = np.bincount(np.concatenate([video.labels for video in videos]), minlength=NUM_LABELS)
    return lambda video: np.full(len(video.labels), counts.argmax())


def fit_linear(videos: Sequence[LabelledFrames]) -> Predict:
    """Logistic regression on standardised features, each frame on its own."""
    features = torch.from_numpy(np.concatenate([video.features for video in videos]))
    labels = torch.from_numpy(np.concatenate([video.labels for video in videos]))
    mean, deviation = features.mean(0), features.std(0)
    weight = torch.zeros(features.shape[1], NUM_LABELS, requires_grad=True)
    bias = torch.zeros(NUM_LABELS, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def logits(rows: torch.Tensor) -> torch.Tensor:
        return (rows - mean) / deviation @ weight + bias

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits(features), labels) + 1e-3 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda video: logits(torch.from_numpy(video.features)).argmax(1).numpy()


def fit_ours(videos: Sequence[LabelledFrames], seed: int) -> Predict:
    """The product's model with the product's settings."""
    shape = FrameLabelConfig(dim=videos[0].features.shape[1], num_labels=NUM_LABELS)
    model = fit_frame_labels(videos, shape, FrameLabelTraining(seed=seed))

    @torch.inference_mode()
    def predict(video: LabelledFrames) -> Labels:
        features, times = torch.from_numpy(video.features), torch.from_numpy(video.times)
        labels: Labels = model(features[None], times[None])[0].argmax(1).numpy()
        return labels

    return predict


def measure(predict: Predict, videos: Sequence[LabelledFrames]) -> Figures:
    """Figures of one split's test videos."""
    predicted = [predict(video) for video in videos]
    return score_segmentation(predicted, [video.labels for video in videos], BACKGROUND)


def mean(rows: Sequence[Figures]) -> Figures:
    """Mean of each figure."""
    return {name: float(np.mean([row[name] for row in rows])) for name in COLUMNS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; exit code 1 where a published figure is not reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--seeds", type=int, default=3, help="trainings a split")
    parser.add_argument("--json", action="store_true", help="print JSON on the last line")
    options = parser.parse_args(arguments)
    rows: dict[str, list[Figures]] = {"majority": [], "linear": []}
    rows |= {f"seed {seed}": [] for seed in range(options.seeds)}
    splits = [load_split(options.data, split) for split in SPLITS]
    for train, test in splits:
        rows["majority"].append(measure(fit_majority(train), test))
        rows["linear"].append(measure(fit_linear(train), test))
    for seed in range(options.seeds):
        for split, (train, test) in zip(SPLITS, splits, strict=True):
            figures = measure(fit_ours(train, seed), test)
            rows[f"seed {seed}"].append(figures)
            report("gtea", split=split, seed=seed, **{k: round(v, 1) for k, v in figures.items()})
    table = {name: mean(figures) for name, figures in rows.items()}
    table["ours"] = mean([table[f"seed {seed}"] for seed in range(options.seeds)])
    table["ED-TCN (published)"] = PUBLISHED
    print(f"{'':20}" + "".join(f"{name:>10}" for name in COLUMNS))
    for name, row in table.items():
        cells = (f"{row[column]:10.1f}" if column in row else " " * 10 for column in COLUMNS)
        print(f"{name:20}" + "".join(cells))
    if options.json:
        rounded = {k: {c: round(v, 1) for c, v in row.items()} for k, row in table.items()}
        print(json.dumps({"benchmark": "gtea", "figures": rounded, "seeds": options.seeds}))
    return int(any(table["ours"][name] < value for name, value in PUBLISHED.items()))


if __name__ == "__main__":
    raise SystemExit(main())
