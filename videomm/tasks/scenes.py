"""A timeline to scenes: kernel temporal segmentation.

Potapov, Douze, Harchaoui, Schmid: "Category-specific video summarization", ECCV 2014, section 3.
The change points minimise the scatter within the scenes plus a penalty for their number:

    min over m and t_1 < ... < t_m of  J(t_1, ..., t_m) + C * m * (log(n / m) + 1)

with the linear kernel of the embeddings. A frame weighs as long as it stands on screen, so a still
picture that a timeline holds once counts as it would if it were held at every sampled time.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from videomm.errors import InvalidInputError
from videomm.types import Array, Timeline

# C above; chosen by `benchmarks/scenes.py --choose` on pictures of a train split.
PENALTY = 0.566
# Bounds the work, which grows with scenes * frames**2.
MAX_SCENES = 128


def find_scenes(
    timeline: Timeline, *, penalty: float = PENALTY, max_scenes: int = MAX_SCENES
) -> list[tuple[int, int]]:
    """Scenes of a video as ranges of its frames, `[first, last)`, which tile the timeline.

    Args:
        timeline: N frames.
        penalty: C of the equation above; more gives fewer scenes.
        max_scenes: no more than this.

    Returns:
        At least one scene; `timeline.bounds` turns the ranges into seconds.
    """
    weights = frame_weights(timeline)
    cuts = change_points(timeline.embeddings, weights, penalty=penalty, max_scenes=max_scenes)
    return list(pairwise([0, *cuts, len(timeline)]))


def frame_weights(timeline: Timeline) -> Array:
    """float64 (N,): how long each frame stands on screen, in units of the usual step."""
    lengths = np.diff(timeline.bounds)
    usual = float(np.median(lengths))
    # The last frame can be on screen for no time at all, and still is one.
    return np.maximum(lengths / usual, 0.1) if usual > 0 else np.ones(len(lengths))


def change_points(
    vectors: Array,
    weights: Array | None = None,
    *,
    penalty: float = PENALTY,
    max_scenes: int = MAX_SCENES,
) -> list[int]:
    """Where one scene ends and the next begins.

    Dynamic programming over all segmentations, one vectorised step a scene; the scatter of every
    stretch comes from prefix sums of the kernel matrix.

    Args:
        vectors: float (N, D), L2-normalised.
        weights: (N,), all 1 unless given.
        penalty: C of the module's equation.
        max_scenes: no more than this.

    Returns:
        Indices of the frames that begin a scene, ascending, without the first frame.

    Raises:
        InvalidInputError: a penalty below 0 or fewer than one scene allowed.
    """
    if not (math.isfinite(penalty) and penalty >= 0):
        raise InvalidInputError(f"penalty must be a number of at least 0, got {penalty!r}")
    if max_scenes < 1:
        raise InvalidInputError(f"max_scenes must be at least 1, got {max_scenes}")
    count = len(vectors)
    weights = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    costs = scatters(vectors, weights)
    most = min(max_scenes, count) - 1
    # best[j]: least scatter of the first j frames in the scenes so far; origin: its last cut.
    best = costs[0].copy()
    totals, origins = [best[count]], []
    for _ in range(most):
        sums = best[:, None] + costs
        origin = sums.argmin(axis=0)
        best = sums[origin, np.arange(count + 1)]
        totals.append(best[count])
        origins.append(origin)
    changes = np.arange(most + 1)
    total = float(weights.sum())
    penalties = changes * (np.log(np.maximum(total / np.maximum(changes, 1), 1)) + 1)
    chosen = int(np.argmin(np.array(totals) + penalty * penalties))
    cuts, end = [], count
    for origin in reversed(origins[:chosen]):
        end = int(origin[end])
        cuts.append(end)
    return cuts[::-1]


def scatters(vectors: Array, weights: Array) -> Array:
    """Scatter within every stretch `[i, j)` of frames: float64 (N + 1, N + 1), inf for j <= i.

    sum of w_t |x_t - mean|^2 over t in [i, j), from prefix sums (Potapov et al. 2014, equation 3
    with weights).
    """
    count = len(vectors)
    values = np.asarray(vectors, np.float64)
    kernel = (values @ values.T) * np.outer(weights, weights)
    blocks = np.zeros((count + 1, count + 1))
    blocks[1:, 1:] = kernel.cumsum(axis=0).cumsum(axis=1)
    corner = np.diagonal(blocks)
    inside = corner[None, :] + corner[:, None] - blocks - blocks.T
    squares = np.append(0.0, np.cumsum(weights * (values**2).sum(axis=1)))
    mass = np.append(0.0, np.cumsum(weights))
    length = mass[None, :] - mass[:, None]
    out = np.full((count + 1, count + 1), np.inf)
    upper = np.triu_indices(count + 1, k=1)
    exact = squares[upper[1]] - squares[upper[0]] - inside[upper] / length[upper]
    out[upper] = np.maximum(exact, 0.0)
    return out
