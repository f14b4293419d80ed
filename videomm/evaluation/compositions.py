"""What is found in compositions: when, in what order, and what is on screen the longest.

A caption's moment is the scene that is nearest to it, among the scenes that kernel temporal
segmentation finds in the timeline; so whatever is compared has the same moments to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from videomm.evaluation.moments import temporal_iou
from videomm.tasks.scenes import find_scenes
from videomm.training.compositions import Composition
from videomm.types import Array, Timeline

LEAST_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Findings:
    """What is said of one composition with P different pictures.

    Attributes:
        moments: float64 (P, 2), when each is on screen: one moment, in seconds.
        dominant: the place among them of the one that is on screen for the longest.
    """

    moments: npt.NDArray[np.float64]
    dominant: int


def find_in(timeline: Timeline, frames: Array, pooled: Array, captions: Array) -> Findings:
    """The scene and the video's theme that captions are nearest to.

    Args:
        timeline: of the composition; its scenes are what a moment can be.
        frames: float (N, D), its frames in context, L2-normalised.
        pooled: float (D,), the whole of it.
        captions: float (P, D), of its pictures.
    """
    scenes = find_scenes(timeline)
    sims = frames @ captions.T
    best = np.stack([sims[first:last].mean(axis=0) for first, last in scenes]).argmax(axis=0)
    edges = timeline.bounds
    moments = [(edges[scenes[place][0]], edges[scenes[place][1]]) for place in best]
    return Findings(np.array(moments, np.float64), int((captions @ pooled).argmax()))


def measure_findings(
    compositions: Sequence[Composition], findings: Sequence[Findings], seed: int = 0
) -> dict[str, float]:
    """How much of what is said of compositions is right.

    Args:
        compositions: the truth.
        findings: what is said of each.
        seed: the captions to be put in order come in a random one, in which those with the same
            middle stay.

    Returns:
        In percent: ``moment``, the pictures whose moment has an IoU of at least 0.5 with one of
        theirs (R@1); ``order``, the compositions whose pictures are put in the right order by the
        middles of their moments; ``tau``, Kendall's rank correlation of that order; ``dominant``,
        the compositions whose dominant picture is right. A picture that returns has no place in
        an order, and is left out there.

    Raises:
        ValueError: there is no composition, or not one finding for each.
    """
    if not compositions or len(compositions) != len(findings):
        raise ValueError(
            "each composition needs its findings, and there must be one, got "
            f"{len(compositions)} and {len(findings)}"
        )
    rng = np.random.default_rng(seed)
    moments: list[float] = []
    taus: list[float] = []
    dominant: list[float] = []
    for composition, finding in zip(compositions, findings, strict=True):
        once = []
        for place, picture in enumerate(composition.pictures):
            truth = np.array(composition.moments(picture))
            found = temporal_iou(finding.moments[place], truth).max()
            moments.append(float(found >= LEAST_IOU))
            if len(truth) == 1:
                once.append(place)
        if len(once) > 1:
            given = rng.permutation(once)
            order = given[finding.moments[given].mean(axis=1).argsort(kind="stable")]
            taus.append(kendalltau(once, order).statistic)
        dominant.append(float(composition.pictures[finding.dominant] == composition.dominant))
    exact = [float(tau > 1 - 1e-9) for tau in taus]
    parts = {"moment": moments, "order": exact, "tau": taus, "dominant": dominant}
    # Where every composition shows but one picture once, there is no order to tell.
    return {
        name: round(100 * float(np.mean(values)), 1) if values else float("nan")
        for name, values in parts.items()
    }
