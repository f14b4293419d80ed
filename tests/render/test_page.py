import re
from html.parser import HTMLParser

import pytest

from tests.render.results import make_summary, make_timeline
from videomm.render.page import build_page

VOID = {"meta", "img", "link", "br", "input", "hr"}


class Document(HTMLParser):
    """Tags with their attributes; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def page_of(**changes):
    return build_page(make_summary(**changes), make_timeline())


def test_nothing_is_fetched_from_anywhere():
    text = page_of()
    page = Document(text)
    sources = [value for _, attrs in page.tags for key, value in attrs.items() if key == "src"]
    assert len(sources) == 6
    assert all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert not page.all("link")
    assert not page.all("iframe")
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "url(" not in text
    policy = next(item for item in page.all("meta") if "http-equiv" in item)
    assert policy["content"].startswith("default-src 'none'")


def test_scenes_can_be_chosen_with_the_keyboard_and_have_names():
    page = Document(page_of())
    bands = [item for item in page.all("g") if "data-scene" in item]
    assert [item["data-scene"] for item in bands] == ["0", "1", "2"]
    assert all(item["role"] == "button" and item["tabindex"] == "0" for item in bands)
    assert bands[0]["aria-label"] == "Scene 1: A dog. 0:00.0 to 0:02.0. Show its frame"
    buttons = [item for item in page.all("button") if "data-scene" in item]
    assert [item["data-scene"] for item in buttons] == ["0", "1", "2"]


def test_a_screen_reader_is_told_everything():
    page = Document(page_of())
    assert page.all("html")[0]["lang"] == "en"
    assert all("alt" in item for item in page.all("img"))
    alts = [item["alt"] for item in page.all("img")]
    assert alts[0] == "Frame at 0:00.5. A dog."
    headings = [name for name, _ in page.tags if name in ("h1", "h2")]
    assert headings == ["h1", "h2", "h2", "h2", "h2"]
    labelled = {item["aria-labelledby"] for item in page.all("section")}
    assert labelled == {item["id"] for item in page.all("h2")}
    assert any(item.get("aria-live") == "polite" for item in page.all("figcaption"))


def test_names_and_words_from_outside_are_escaped():
    nasty = "<script>alert('x')</script>\"&${title}$title"
    page = page_of(
        path=f"/tmp/{nasty.replace('/', '|')}.mp4",
        texts=(nasty, nasty, nasty),
        warnings=(nasty,),
        model=nasty,
        overall=nasty,
    )
    document = Document(page)
    assert len(document.all("script")) == 1
    assert sum(nasty in text for text in document.texts) >= 4
    assert "alert('x')" not in re.sub(r"alert\(&#x27;x&#x27;\)", "", page)


def test_the_line_for_the_whole_stands_above():
    assert "<p>Overall: A dog runs.</p>" in page_of(overall="A dog runs.")
    assert "Overall" not in page_of()


def test_the_plot_shows_both_curves_and_the_chosen_stretches():
    page = Document(page_of())
    lines = {item["class"]: item["points"] for item in page.all("polyline")}
    assert set(lines) == {"importance", "similarity"}
    assert all(len(points.split()) == 12 for points in lines.values())
    # Similarity falls to the bottom at the two cuts.
    heights = [float(point.split(",")[1]) for point in lines["similarity"].split()]
    assert sorted(range(12), key=lambda i: -heights[i])[:2] in ([4, 8], [8, 4])
    assert len([item for item in page.all("rect") if item.get("class") == "chosen"]) == 1


def test_the_reel_is_linked_where_there_is_one():
    assert "<a " not in page_of()
    assert 'href="reel.mp4"' in page_of(files={"reel": "reel.mp4"})


@pytest.mark.parametrize("frames", [3, 12])
def test_without_pictures_there_are_grey_fields(frames):
    timeline = make_timeline(frames=frames, thumbnails=False)
    page = Document(build_page(make_summary(), timeline))
    assert len({item["src"] for item in page.all("img") if "src" in item}) == 1
