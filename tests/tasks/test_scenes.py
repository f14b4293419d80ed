import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videomm.errors import InvalidInputError
from videomm.tasks.scenes import change_points, find_scenes, scatters
from videomm.types import Timeline

AXES = np.eye(8, dtype=np.float32)


def naive_scatter(vectors, weights):
    mean = np.average(vectors, axis=0, weights=weights)
    return float((weights * ((vectors - mean) ** 2).sum(axis=1)).sum())


def naive_change_points(vectors, weights, penalty):
    """Every segmentation there is, tried in turn."""
    count, total = len(vectors), weights.sum()
    best, cuts = math.inf, ()
    for changes in range(count):
        price = penalty * changes * (math.log(max(total / changes, 1)) + 1) if changes else 0.0
        for chosen in itertools.combinations(range(1, count), changes):
            edges = (0, *chosen, count)
            cost = price + sum(
                naive_scatter(vectors[a:b], weights[a:b]) for a, b in itertools.pairwise(edges)
            )
            if cost < best - 1e-9:
                best, cuts = cost, chosen
    return best, list(cuts)


def naive_programme(vectors, weights, changes):
    """Least scatter with that many change points, by the textbook recursion."""

    def least(end, left):
        if left == 0:
            return naive_scatter(vectors[:end], weights[:end])
        return min(
            least(cut, left - 1) + naive_scatter(vectors[cut:end], weights[cut:end])
            for cut in range(left, end)
        )

    return least(len(vectors), changes)


def cost_of(cuts, vectors, weights, penalty):
    edges = [0, *cuts, len(vectors)]
    changes = len(cuts)
    price = penalty * changes * (math.log(max(weights.sum() / changes, 1)) + 1) if changes else 0.0
    return price + sum(
        naive_scatter(vectors[a:b], weights[a:b]) for a, b in itertools.pairwise(edges)
    )


def unit_rows(seed, count, dim=3):
    rows = np.random.default_rng(seed).normal(size=(count, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 8),
    penalty=st.floats(0.0, 2.0),
    weighted=st.booleans(),
)
def test_agrees_with_trying_every_segmentation(seed, count, penalty, weighted):
    vectors = unit_rows(seed, count)
    weights = np.ones(count)
    if weighted:
        weights = np.random.default_rng(seed + 1).uniform(0.1, 5, count)
    best, _ = naive_change_points(vectors, weights, penalty)
    cuts = change_points(vectors, weights, penalty=penalty)
    assert cuts == sorted(set(cuts))
    assert cost_of(cuts, vectors, weights, penalty) == pytest.approx(best, abs=1e-7)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 9), scenes=st.integers(1, 4))
def test_agrees_with_a_naive_dynamic_programme(seed, count, scenes):
    # Without a penalty the most scenes that are allowed are always worth it.
    vectors, weights = unit_rows(seed, count), np.ones(count)
    changes = min(scenes, count) - 1
    cuts = change_points(vectors, penalty=0.0, max_scenes=scenes)
    expected = naive_programme(vectors, weights, changes)
    assert cost_of(cuts, vectors, weights, 0.0) == pytest.approx(expected, abs=1e-7)


def test_scatters_are_those_of_the_definition():
    vectors, weights = unit_rows(3, 6), np.array([1.0, 2, 0.5, 1, 3, 1])
    found = scatters(vectors, weights)
    for i, j in itertools.product(range(7), repeat=2):
        if i < j:
            assert found[i, j] == pytest.approx(naive_scatter(vectors[i:j], weights[i:j]), abs=1e-9)
        else:
            assert found[i, j] == math.inf


@pytest.mark.parametrize("lengths", [(6, 4, 5), (3, 3), (12,), (2, 9, 2, 7)])
def test_finds_clear_cuts(lengths):
    noise = np.random.default_rng(0).normal(0, 0.02, (sum(lengths), 8))
    rows = np.repeat(AXES[: len(lengths)], lengths, axis=0) + noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert change_points(rows) == np.cumsum(lengths)[:-1].tolist()


def test_one_frame_is_one_scene():
    assert change_points(AXES[:1]) == []


def test_a_still_picture_held_once_counts_as_long_as_it_lasts():
    # Frames for 15 s each; as single frames they would be too little for a scene.
    near = AXES[0] + 0.9 * AXES[1]
    rows = np.stack([AXES[0], near / np.linalg.norm(near), AXES[0]])
    assert change_points(rows) == []
    assert change_points(rows, np.array([30.0, 30.0, 30.0])) == [1, 2]


def test_scenes_tile_the_timeline():
    rows = np.repeat(AXES[:3], 5, axis=0)
    timeline = Timeline(
        rows, np.arange(15) / 2, 7.5, "fake@0", "a.mp4", "pyav", "", {"mode": "fps"}
    )
    assert find_scenes(timeline) == [(0, 5), (5, 10), (10, 15)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": -1.0}, "penalty must be a number of at least 0"),
        ({"penalty": math.nan}, "penalty must be a number of at least 0"),
        ({"max_scenes": 0}, "max_scenes must be at least 1"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        change_points(AXES, **options)
