"""What people, their mean and chance reach on TVSum: the marks that a summary is held against.

    python benchmarks/summaries.py --data ../shared/data
    python benchmarks/summaries.py --data ../shared/data --json

50 videos, each scored from 1 to 5 by 20 people (Song et al., CVPR 2015). Kendall's tau-b and
Spearman's rho on every 15th frame; F1 on all frames in segments of 60 frames, since the file has no
pictures to find other ones by: published F1 is mostly on other segments and cannot be compared. A
figure is the mean over people, then over videos; beside it the 95 % bootstrap interval over videos.
Reading the file needs h5py (`pip install '.[dev]'`).

First verifies three known pairs of tau and rho: each person with each other one (0.177, 0.204, as
Otani et al., CVPR 2019, have it), each person with the mean of all 20, the person's own scores
included (0.378, 0.473), and random scores (0). Exit code 1 where one differs. The last line is JSON
with `--json`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from videomm.evaluation.bootstrap import Interval, bootstrap_interval
from videomm.evaluation.summaries import (
    keep_frames,
    kendall_tau,
    knapsack_f1,
    spearman_rho,
    summary_f1,
)
from videomm.types import Array

FILE = Path("summaries") / "ydata-tvsum50.mat"
STEP = 15
SEGMENT = 60
PEOPLE = "each person with each other one"
WITH_MEAN = "each person with the mean of all"
WITHOUT = "each person with the mean of the others"
CHANCE = "random scores with each person"
# Tau, rho, and by how much they may differ: by rounding, and by chance (four standard errors).
KNOWN = {
    PEOPLE: (0.177, 0.204, 0.0005),
    WITH_MEAN: (0.378, 0.473, 0.0005),
    CHANCE: (0.0, 0.0, 0.015),
}


def load_annotations(path: Path) -> list[Array]:
    """People's scores of each video: float64 (P, N), 1 to 5."""
    with h5py.File(path) as file:
        return [file[place][()] for place in file["tvsum50/user_anno"][:, 0]]


def correlations(people: Array, scores: Array) -> dict[str, tuple[float, float]]:
    """Tau and rho of one video, means over people.

    Args:
        people: float (P, N).
        scores: float (N,), by chance.
    """

    def both(one: Array, many: Array) -> tuple[float, float]:
        return float(kendall_tau(one, many).mean()), float(spearman_rho(one, many).mean())

    others = [np.delete(people, place, axis=0) for place in range(len(people))]
    pairs = list(zip(people, others, strict=True))
    rows = {
        PEOPLE: [both(person, rest) for person, rest in pairs],
        WITHOUT: [both(person, rest.mean(axis=0, keepdims=True)) for person, rest in pairs],
        WITH_MEAN: [both(people.mean(axis=0), people)],
        CHANCE: [both(scores, people)],
    }
    means = {name: np.mean(values, axis=0) for name, values in rows.items()}
    return {name: (float(tau), float(rho)) for name, (tau, rho) in means.items()}


def f1_scores(people: Array, scores: Array) -> dict[str, float]:
    """Knapsack F1 of one video, means over people; arguments as `correlations`."""
    bounds = np.append(np.arange(0, len(scores), SEGMENT), len(scores))
    kept = np.stack([keep_frames(person, bounds) for person in people])
    others = [np.delete(kept, place, axis=0) for place in range(len(kept))]
    pairs = zip(kept, others, strict=True)
    return {
        PEOPLE: float(np.mean([summary_f1(person, rest).mean() for person, rest in pairs])),
        WITH_MEAN: float(knapsack_f1(people.mean(axis=0), people, bounds).mean()),
        CHANCE: float(knapsack_f1(scores, people, bounds).mean()),
    }


def measure(annotations: Sequence[Array], seed: int) -> dict[str, dict[str, Interval]]:
    """Name of a comparison to its tau, rho and F1 over videos."""
    rng = np.random.default_rng(seed)
    rows: dict[str, dict[str, list[float]]] = {}
    for people in annotations:
        scores = rng.random((people.shape[1],))
        for name, (tau, rho) in correlations(people[:, ::STEP], scores[::STEP]).items():
            row = rows.setdefault(name, {"tau": [], "rho": []})
            row["tau"].append(tau)
            row["rho"].append(rho)
        for name, f1 in f1_scores(people, scores).items():
            rows[name].setdefault("F1", []).append(f1)
    return {
        name: {
            measure: bootstrap_interval(np.mean, np.array(values))
            for measure, values in row.items()
        }
        for name, row in rows.items()
    }


def verify(figures: dict[str, dict[str, Interval]]) -> list[str]:
    """What differs from the known figures, a line each."""
    wrong = []
    for name, (tau, rho, tolerance) in KNOWN.items():
        for measure, known in (("tau", tau), ("rho", rho)):
            got = figures[name][measure].value
            if abs(got - known) > tolerance:
                wrong.append(f"{measure} of {name} is {got:.4f}, must be {known} +- {tolerance}")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify, print; exit code 1 where a figure is not the known one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--seed", type=int, default=0, help="of the random scores")
    parser.add_argument("--json", action="store_true", help="print JSON on the last line")
    options = parser.parse_args(arguments)
    annotations = load_annotations(options.data / FILE)
    figures = measure(annotations, options.seed)
    wrong = verify(figures)
    for line in wrong or ["tau and rho agree with the known figures"]:
        print(line)
    print(f"\n| TVSum, {len(annotations)} videos | tau | rho | F1 |\n|---|---|---|---|")
    for name, row in figures.items():
        print(f"| {name} | {row['tau']} | {row['rho']} | {row.get('F1', '')} |")
    if options.json:
        plain = {
            f"{name}, {measure}": round(interval.value, 4)
            for name, row in figures.items()
            for measure, interval in row.items()
        }
        print(json.dumps({"benchmark": "summaries", "figures": plain, "wrong": wrong}))
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
