"""Video summaries against people: F1 of what the knapsack keeps, and rank correlation of scores.

F1 follows Song et al., "TVSum: Summarizing Web Videos Using Titles", CVPR 2015, and Zhang et al.,
"Video Summarization with Long Short-Term Memory", ECCV 2016; the rank correlations Otani et al.,
"Rethinking the Evaluation of Video Summaries", CVPR 2019, who also show that F1 depends more on the
segments than on the scores: report both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from videomm.tasks.summarize import knapsack

# Of a video's length that a summary may keep.
SHARE = 0.15

Values = npt.NDArray[np.floating[Any]]
Bounds = npt.NDArray[np.integer[Any]]


def keep_frames(scores: Values, bounds: Bounds, share: float = SHARE) -> npt.NDArray[np.bool_]:
    """Frames of the segments that an exact 0/1 knapsack chooses.

    A segment is worth the mean of its frames' scores, not their sum, and costs its frames; they
    may cost floor(share * N) in all. That favours short segments, and is how published figures are
    made. Of choices that are worth the same the one with the earlier segments is taken.

    Args:
        scores: Float (N,), at least 0.
        bounds: Integers (M + 1,) from 0 to N, rising: segment m is frames
            `[bounds[m], bounds[m + 1])`.
        share: Of the frames that are kept, above 0 and at most 1.

    Returns:
        Bool (N,); none is kept where every segment is too long.

    Raises:
        ValueError: If the scores are no vector or not at least 0, the bounds do not tile the
            frames, or the share is out of range.
    """
    if scores.ndim != 1 or not (np.isfinite(scores) & (scores >= 0)).all():
        raise ValueError(
            f"scores must be (N,) numbers of at least 0, got {scores.shape} from "
            f"{scores.min(initial=np.inf)}: scale them to [0, 1]"
        )
    sizes = np.diff(bounds)
    if bounds.ndim != 1 or len(bounds) < 2 or (sizes < 1).any():
        raise ValueError(f"bounds must be rising, got {bounds.tolist()!r:.80}")
    if bounds[0] != 0 or bounds[-1] != len(scores):
        raise ValueError(
            f"bounds must lead from 0 to the {len(scores)} frames, got {bounds[0]}..{bounds[-1]}"
        )
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    means = np.add.reduceat(scores, bounds[:-1], dtype=np.float64) / sizes
    kept = np.zeros(len(sizes), np.bool_)
    kept[knapsack(means.tolist(), sizes.tolist(), math.floor(share * len(scores)))] = True
    return np.repeat(kept, sizes)


def summary_f1(
    summary: npt.NDArray[np.bool_], people: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """F1 of the kept frames with those that each person keeps.

    TVSum reports the mean over people, SumMe the best one (Zhang et al. 2016).

    Args:
        summary: Bool (N,).
        people: Bool (P, N).

    Returns:
        Float64 (P,); 0 where they share no frame.

    Raises:
        ValueError: If shapes do not fit.
    """
    _check_people(summary, people)
    shared = (people & summary).sum(axis=1)
    kept = people.sum(axis=1) + summary.sum()
    return np.asarray(2 * shared / np.maximum(kept, 1), np.float64)


def knapsack_f1(
    scores: Values, annotations: Values, bounds: Bounds, share: float = SHARE
) -> npt.NDArray[np.float64]:
    """`summary_f1` of scores against people's scores, both through `keep_frames`.

    Args:
        scores: Float (N,), at least 0.
        annotations: Float (P, N), at least 0: each person's scores.
        bounds: As `keep_frames`.
        share: As `keep_frames`.

    Returns:
        Float64 (P,); TVSum's F1 is its mean over people, then over videos.

    Raises:
        ValueError: As `keep_frames` and `summary_f1`.
    """
    _check_people(scores, annotations)
    people = np.stack([keep_frames(person, bounds, share) for person in annotations])
    return summary_f1(keep_frames(scores, bounds, share), people)


def kendall_tau(scores: Values, annotations: Values) -> npt.NDArray[np.float64]:
    """Kendall's tau-b of frame scores with each person's: float64 (P,) from -1 to 1.

    Args:
        scores: Float (N,).
        annotations: Float (P, N).

    Raises:
        ValueError: If shapes do not fit, or if scores are NaN or all the same.
    """
    _check_order(scores, annotations)
    each = [stats.kendalltau(scores, person).statistic for person in annotations]
    return np.array(each, np.float64)


def spearman_rho(scores: Values, annotations: Values) -> npt.NDArray[np.float64]:
    """Spearman's rho of frame scores with each person's, as `kendall_tau`."""
    _check_order(scores, annotations)
    each = [stats.spearmanr(scores, person).statistic for person in annotations]
    return np.array(each, np.float64)


def _check_people(one: npt.NDArray[Any], people: npt.NDArray[Any]) -> None:
    if one.ndim != 1 or people.ndim != 2 or people.shape[1:] != one.shape or not people.size:
        raise ValueError(
            f"expected (N,) and people's (P, N) of the same N, got {one.shape} and {people.shape}"
        )


def _check_order(scores: Values, annotations: Values) -> None:
    _check_people(scores, annotations)
    for who, values in (("the scores", scores), ("a person's scores", annotations)):
        if np.isnan(values).any():
            raise ValueError(f"{who} must not be NaN")
        if (values.min(axis=-1) == values.max(axis=-1)).any():
            raise ValueError(
                f"{who} are the same for every frame, which is no order to compare: leave them out"
            )
