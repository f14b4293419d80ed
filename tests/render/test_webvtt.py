import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.render.results import make_summary
from tests.render.strict_webvtt import parse
from videomm.render.webvtt import chapters_vtt, descriptions_vtt
from videomm.types import Segment


def test_chapters_cover_the_video_and_carry_titles():
    cues = parse(chapters_vtt(make_summary()).encode())
    assert [(cue.start, cue.end) for cue in cues] == [(0, 2000), (2000, 4000), (4000, 6000)]
    assert [cue.text for cue in cues] == [
        "Scene 1: A dog",
        "Scene 2",
        "Scene 3: A <cat> & a --> b",
    ]


def test_descriptions_stay_silent_where_nothing_is_certain():
    cues = parse(descriptions_vtt(make_summary()).encode())
    assert [(cue.start, cue.text) for cue in cues] == [
        (0, "A dog."),
        (4000, "A <cat> & a --> b."),
    ]


def test_hours_and_moments_have_valid_stamps():
    scenes = (
        Segment(0.0, 0.0001, 0.5, text="A moment."),
        Segment(0.0001, 3599.9999, 0.5, text="An hour."),
        Segment(360_000.0, 360_001.5, 0.5, text="Day four."),
    )
    cues = parse(chapters_vtt(make_summary(scenes=scenes)).encode())
    assert [(cue.start, cue.end) for cue in cues] == [
        (0, 1),
        (0, 3_600_000),
        (360_000_000, 360_001_500),
    ]


@given(
    texts=st.lists(st.text(), min_size=3, max_size=3),
    edges=st.lists(st.floats(0, 1e5), min_size=4, max_size=4).map(sorted),
)
def test_any_text_and_times_give_a_valid_file(texts, edges):
    texts = [text.encode("utf-8", "replace").decode().replace("\0", "") for text in texts]
    scenes = tuple(
        Segment(a, b, 0.5, text=text) for a, b, text in zip(edges, edges[1:], texts, strict=False)
    )
    summary = make_summary(scenes=scenes)
    assert len(parse(chapters_vtt(summary).encode())) == 3
    parse(descriptions_vtt(summary).encode())


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"WEBVTTx\n\n00:00.000 --> 00:01.000\na\n",
        b"WEBVTT\n\n00:01.000 --> 00:01.000\na\n",
        b"WEBVTT\n\n00:00.00 --> 00:01.000\na\n",
        b"WEBVTT\n\n00:00.000 --> 00:01.000\na & b\n",
        b"WEBVTT\n\n00:00.000 --> 00:01.000\n\n",
        b"WEBVTT\n\n00:00.000 --> 00:01.000\n<b\n",
    ],
)
def test_the_parser_here_is_strict(broken):
    with pytest.raises(ValueError, match=r"."):
        parse(broken)
