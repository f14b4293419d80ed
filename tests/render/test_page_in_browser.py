"""The page in a real browser: a scene shows its frame on a click and on Enter."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.render.browser import ENTER, TAB, Browser, find_browser
from tests.render.results import COLOURS, make_summary, make_timeline
from videomm.render.page import build_page

pytestmark = pytest.mark.slow

SHOWN = """
const picture = document.getElementById("view-picture");
return {hidden: document.getElementById("view").hidden, alt: picture.alt,
        caption: document.getElementById("view-caption").textContent,
        width: picture.naturalWidth, source: picture.src,
        pressed: [...document.querySelectorAll("[aria-pressed=true]")].map(e => e.dataset.scene)};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = find_browser()
    if found is None:
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    with Browser(*found, tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture
def page(browser, tmp_path):
    path = tmp_path / "<b>summary.html"
    path.write_text(build_page(make_summary(path="<b>ä & 'x'.mp4"), make_timeline()))
    browser.open(path)
    return browser


def assert_shows(browser, number, title):
    shown = browser.run(SHOWN)
    assert not shown["hidden"]
    assert shown["width"] == 128
    assert shown["alt"] == shown["caption"]
    assert shown["caption"].startswith(title)
    assert shown["pressed"] == [str(number)] * 2
    sources = browser.run(
        "return [...document.querySelectorAll('button[data-scene] img')].map(e => e.src)"
    )
    assert shown["source"] == sources[number]
    assert browser.complaints() == []


def test_a_click_on_a_scene_of_the_plot_shows_its_frame(page):
    assert page.run(SHOWN)["hidden"]
    page.click('svg [data-scene="1"]')
    assert_shows(page, 1, "Scene 2, 0:02.0 to 0:04.0")
    page.click('svg [data-scene="2"]')
    assert_shows(page, 2, "Scene 3: A <cat> & a --> b, 0:04.0")
    # What is seen, not only what is said: the colour of the third scene.
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.int32)
    assert (np.abs(pixels - COLOURS[2]).max(axis=2) < 24).sum() > 20_000


def test_a_click_on_a_chapter_shows_its_frame(page):
    page.click('button[data-scene="0"]')
    assert_shows(page, 0, "Scene 1: A dog, 0:00.0 to 0:02.0")


def test_the_keyboard_alone_is_enough(page):
    page.press(TAB, ENTER)
    assert_shows(page, 0, "Scene 1: A dog")
    page.press(TAB, " ")
    assert_shows(page, 1, "Scene 2")
    # Past the three scenes of the plot come the chapters.
    page.press(TAB, TAB, ENTER)
    assert_shows(page, 0, "Scene 1: A dog")


def test_the_page_names_the_video_and_runs_nothing_from_it(page):
    assert page.run("return document.querySelector('h1').textContent") == "<b>ä & 'x'.mp4"
    assert page.run("return document.querySelectorAll('h1 *').length") == 0
    assert page.run("return document.documentElement.scrollWidth <= innerWidth") is True
    assert page.complaints() == []
