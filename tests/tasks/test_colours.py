"""Colours by pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from videomm.tasks.candidates import read_candidates
from videomm.tasks.colours import COLOURS, name_pixels, standing_out


def jpeg(pixels):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=90)
    return data.getvalue()


def test_the_colours_are_those_that_questions_choose_from():
    assert read_candidates().answers["colour"] == COLOURS


@pytest.mark.parametrize(
    ("html", "name"),
    [
        ("red", "red"),
        ("crimson", "red"),
        ("darkorange", "orange"),
        ("gold", "yellow"),
        ("limegreen", "green"),
        ("darkgreen", "green"),
        ("royalblue", "blue"),
        ("skyblue", "blue"),
        ("purple", "purple"),
        ("hotpink", "pink"),
        ("lightpink", "pink"),
        ("saddlebrown", "brown"),
        ("sienna", "brown"),
        ("black", "black"),
        ("white", "white"),
        ("grey", "grey"),
        ("silver", "grey"),
    ],
)
def test_named_as_people_name_them(html, name):
    pixel = np.array([ImageColor.getrgb(html)], np.uint8)
    assert COLOURS[int(name_pixels(pixel)[0])] == name


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_every_pixel_has_a_name(values):
    assert 0 <= int(name_pixels(np.array([values], np.uint8))[0]) < len(COLOURS)


@pytest.mark.parametrize("thing", ["green", "red", "blue"])
def test_what_is_in_the_middle_stands_out_from_what_is_all_around(thing):
    pixels = np.full((90, 160, 3), ImageColor.getrgb("saddlebrown"), np.uint8)
    pixels[30:60, 60:100] = ImageColor.getrgb(thing)
    scores = standing_out([jpeg(pixels)] * 2)
    assert COLOURS[int(scores.argmax())] == thing
    assert scores[COLOURS.index("brown")] < 0


def test_one_colour_all_over_stands_out_nowhere():
    assert np.allclose(standing_out([jpeg(np.full((40, 40, 3), 200, np.uint8))]), 0, atol=1e-6)
