import io

import numpy as np
import pytest
from PIL import Image

from tests.render.results import COLOURS, make_summary, make_timeline
from videomm.render.storyboard import draw_storyboard, frame_at
from videomm.types import Keyframe


def colours_of(sheet, wanted):
    """How many pixels of the sheet are close to each colour."""
    pixels = np.asarray(sheet, np.int32)
    return [(np.abs(pixels - colour).max(axis=2) < 24).sum() for colour in wanted]


def test_every_keyframe_is_on_the_sheet():
    sheet = draw_storyboard(make_summary(), make_timeline(), "a.mp4")
    assert all(count > 5000 for count in colours_of(sheet, COLOURS))
    assert sheet.width > sheet.height


def test_words_are_drawn_below_the_pictures():
    def dark_pixels(texts):
        sheet = draw_storyboard(make_summary(texts=texts), make_timeline(), "a.mp4")
        below = np.asarray(sheet.convert("L"))[-60:]
        return int((below < 140).sum())

    silent = dark_pixels(("", "", ""))
    assert dark_pixels(("A dog, on a beach; running.", "", "")) > silent + 100


def test_a_picture_is_the_one_on_screen_at_the_time():
    timeline = make_timeline()
    for seconds, colour in ((0.0, 0), (1.9, 0), (2.0, 1), (3.99, 1), (99.0, 2)):
        middle = frame_at(timeline, seconds).getpixel((100, 60))
        assert np.allclose(middle, COLOURS[colour], atol=12), seconds
    assert frame_at(make_timeline(thumbnails=False), 1.0) is None


@pytest.mark.parametrize("count", [1, 2, 5, 9, 30])
def test_any_number_of_keyframes_fits(count):
    keyframes = tuple(Keyframe(i / 10, "A word " * 40, 0.5) for i in range(count))
    sheet = draw_storyboard(make_summary(keyframes=keyframes), make_timeline(), "x" * 500)
    out = io.BytesIO()
    sheet.save(out, "JPEG")
    assert Image.open(io.BytesIO(out.getvalue())).size == sheet.size
    assert sheet.width <= 1400


@pytest.mark.parametrize("title", ["", "\udcff\udcfe.mp4", "日本語.mp4", "tab\tand\nline.mp4"])
def test_any_name_can_be_a_title(title):
    assert draw_storyboard(make_summary(), make_timeline(thumbnails=False), title).height > 100
