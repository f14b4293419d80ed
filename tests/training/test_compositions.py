"""Plans of compositions, what they show when, and the pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from videomm.training.compositions import (
    ASPECT,
    DOMINANCE,
    FADE_SECONDS,
    Composition,
    Scene,
    camera_box,
    crop,
    draw_composition,
    look_at,
    render,
)

CAPTIONS = [1, 2, 3, 4, 5] * 4
# 0 moves, fades into 1, which holds; then 0 returns after a cut.
PLAN = Composition(
    (Scene(0, 0.0, 2.0, 0.0, 1.0), Scene(1, 2.0, 5.0, 0.5, 0.5, 1.0), Scene(0, 5.0, 7.0, 1.0, 0.0)),
    (0, 0),
)


@given(seed=st.integers(0, 2**32), number=st.integers(0, 2**32))
def test_plans_are_what_they_promise(seed: int, number: int) -> None:
    plan = draw_composition(CAPTIONS, seed, number)
    assert plan == draw_composition(CAPTIONS, seed, number)
    assert 2 <= len(plan.scenes) <= 8
    assert plan.scenes[0].start == 0
    assert plan.scenes[0].fade == 0
    for one, two in pairwise(plan.scenes):
        assert one.end == two.start
        assert one.picture != two.picture
    for scene in plan.scenes:
        assert 1.5 - 1e-9 <= scene.end - scene.start <= 6 + 1e-9
        assert 0 <= scene.first <= 1
        assert 0 <= scene.last <= 1
        assert scene.fade == 0 or FADE_SECONDS[0] <= scene.fade <= FADE_SECONDS[1]
    assert len(plan.captions) == len(plan.pictures) >= len(plan.scenes) - 1
    for picture, caption in zip(plan.pictures, plan.captions, strict=True):
        assert 0 <= caption < CAPTIONS[picture]
    lengths = sorted(map(plan.seconds, plan.pictures))
    assert lengths[-1] - lengths[-2] >= DOMINANCE
    assert plan.seconds(plan.dominant) == lengths[-1]
    assert sum(lengths) == pytest.approx(plan.duration)


def test_plans_differ_and_every_kind_of_scene_occurs() -> None:
    plans = [draw_composition(CAPTIONS, 0, number) for number in range(200)]
    scenes = [scene for plan in plans for scene in plan.scenes]
    assert len({plan.scenes for plan in plans}) == 200
    assert {len(plan.scenes) for plan in plans} == set(range(2, 9))
    for kind in (
        [scene.fade > 0 for scene in scenes],
        [scene.first == scene.last for scene in scenes],
        [len(plan.pictures) < len(plan.scenes) for plan in plans],
    ):
        assert 0.15 < np.mean(kind) < 0.5


def test_too_few_pictures_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 8 pictures, got 7"):
        draw_composition([1] * 7, 0, 0)


def test_truths_of_a_plan() -> None:
    assert PLAN.pictures == (0, 1)
    assert PLAN.moments(0) == [(0.0, 2.0), (5.0, 7.0)]
    assert (PLAN.seconds(0), PLAN.dominant, PLAN.duration) == (4.0, 0, 7.0)


def test_looks_of_a_plan() -> None:
    looks = look_at(PLAN, fps=4)
    assert looks.times.tolist() == (np.arange(28) / 4).tolist()
    assert looks.scenes[:, 0].tolist() == [0] * 8 + [1] * 12 + [2] * 8
    # A second of fade round 2 s: half at the cut, none half a second away.
    assert np.flatnonzero(looks.mixed).tolist() == [7, 8, 9]
    assert looks.mixed[[7, 8, 9]].tolist() == [0.25, 0.5, 0.25]
    assert looks.scenes[[7, 8, 9]].tolist() == [[0, 1], [1, 0], [1, 0]]
    assert looks.positions[[0, 4, 7], 0].tolist() == [0, 0.5, 0.875]
    assert (looks.positions[8:20, 0] == 0.5).all()
    assert looks.positions[[20, 24], 0].tolist() == [1, 0.5]
    # The scene that has ended waits at its end.
    assert looks.positions[[8, 9], 1].tolist() == [1, 1]


@given(number=st.integers(0, 300))
def test_at_most_half_of_a_frame_is_of_the_scene_beside(number: int) -> None:
    plan = draw_composition(CAPTIONS, 3, number)
    looks = look_at(plan)
    assert ((looks.mixed >= 0) & (looks.mixed <= 0.5)).all()
    assert (np.abs(np.diff(looks.scenes, axis=1)) <= 1).all()
    assert ((looks.scenes[:, 0] != looks.scenes[:, 1]) == (looks.mixed > 0)).all()
    own = [plan.scenes[scene] for scene in looks.scenes[:, 0]]
    inside = zip(own, looks.times, strict=True)
    assert all(scene.start <= time < scene.end for scene, time in inside)


@given(
    size=st.tuples(st.integers(40, 500), st.integers(40, 500)),
    picture=st.integers(0, 10_000),
    position=st.floats(0, 1),
)
def test_the_camera_stays_inside_and_moves(
    size: tuple[int, int], picture: int, position: float
) -> None:
    left, top, right, bottom = camera_box(size, picture, position)
    assert -1e-6 <= left < right <= size[0] + 1e-6
    assert -1e-6 <= top < bottom <= size[1] + 1e-6
    assert (right - left) / (bottom - top) == pytest.approx(ASPECT)
    assert camera_box(size, picture, 0.0) != camera_box(size, picture, 1.0)


def read(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def test_frames_are_crops_and_fades_mix_pixels() -> None:
    frames, looks = render(PLAN, read, (24, 32), fps=4), look_at(PLAN, fps=4)
    assert frames.shape == (28, 24, 32, 3)
    assert frames.dtype == np.uint8
    assert (frames[3] == crop(read(0), 0, looks.positions[3, 0], (24, 32))).all()
    assert (frames[12] == frames[13]).all()
    assert (frames[3] != frames[4]).any()
    one, two = (crop(read(n), n, p, (24, 32)).astype(float) for n, p in ((0, 0.875), (1, 0.5)))
    assert np.abs(frames[7] - (0.75 * one + 0.25 * two)).max() <= 0.5
