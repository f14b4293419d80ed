"""What is said is found, embedded and kept; timelines are the same with it and without."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

import videomm
from tests.clips import Clips
from tests.video.test_subtitles import ROWS, SRT, write_video
from videomm import speech
from videomm.cache import TimelineCache
from videomm.config import DecodingConfig, SpeechConfig
from videomm.errors import InvalidInputError, SubtitlesUnreadableError
from videomm.pipeline import VideoPipeline
from videomm.speech import read_speech
from videomm.types import Speech, Subtitle

LABELS = ["a cat", "hello world"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Clips(tmp_path_factory.mktemp("clips")).get("h264_mp4").path  # 3 s


@pytest.fixture
def video(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    shutil.copy(clip, path)
    os.utime(path, (1e9, 1e9))  # long ago, so that its digest is remembered
    return path


def write(path, text=SRT):
    path.write_text(text)
    os.utime(path, (1e9, 1e9))
    return path


def read(video, tiny, config=SpeechConfig(), cache=None, duration=3.5):  # noqa: B008
    return read_speech(str(video), duration, tiny, config, DecodingConfig(), cache)


def test_auto_takes_the_file_beside_before_the_stream_inside(tmp_path, tiny):
    path = write_video(tmp_path / "a.mkv", {"eng": ROWS})
    inside, notes = read(path, tiny)
    assert [item.text for item in inside.subtitles] == ["one", "two"]
    assert inside.source == "subtitle stream 1 (eng)"
    assert notes == ()
    write(tmp_path / "a.en.srt")
    beside, _ = read(path, tiny)
    assert beside.source == "a.en.srt"
    assert beside.subtitles[0] == Subtitle(1.0, 2.5, "Hello world second line")
    np.testing.assert_array_equal(
        beside.embeddings, tiny.encode_text([item.text for item in beside.subtitles])
    )


def test_a_damaged_file_beside_is_said_and_the_stream_is_read(tmp_path, tiny):
    path = write_video(tmp_path / "a.mkv", {"eng": ROWS})
    write(tmp_path / "a.srt", "prose")
    found, notes = read(path, tiny)
    assert len(found) == 2
    assert "a.srt' has no timed text in it" in notes[0]


def test_texts_after_the_end_are_left_out_and_none_at_all_is_said(video, tiny):
    write(video.with_suffix(".srt"))
    found, notes = read(video, tiny, duration=2.0)
    assert len(found) == 1
    assert notes == ("1 subtitles start after the end of the video and are left out",)
    assert len(found.embeddings) == 1
    found, notes = read(video, tiny, SpeechConfig("none"))
    assert found is None
    assert notes == ("no speech was found: the pictures are judged alone",)


@pytest.mark.parametrize(("name", "what"), [("gone.srt", "is not there"), ("a.txt", "of another")])
def test_a_file_that_was_asked_for_must_be_there(name, what, video, tiny, tmp_path):
    (tmp_path / "a.txt").write_text(SRT)
    with pytest.raises(SubtitlesUnreadableError, match=f"{what}.*auto, none or a file that ends"):
        read(video, tiny, SpeechConfig(str(tmp_path / name)))


@pytest.mark.parametrize("beside", [True, False])
def test_the_second_time_nothing_is_read(beside, video, tiny, tmp_path, monkeypatch):
    cache = TimelineCache(tmp_path / "cache")
    if beside:
        write(video.with_suffix(".srt"))
    first, notes = read(video, tiny, cache=cache)
    monkeypatch.setattr(speech, "default_worker", None)  # calling it is an error
    again, notes_again = read(video, tiny, cache=cache)
    assert notes == notes_again
    if beside:
        assert again.subtitles == first.subtitles
        np.testing.assert_array_equal(again.embeddings, first.embeddings)
        write(video.with_suffix(".srt"), SRT.replace("Hello", "Good day"))
        with pytest.raises(TypeError):
            read(video, tiny, cache=cache)
    else:
        assert first is again is None


def test_without_subtitles_nothing_changes_to_the_bit(video, tiny, tmp_path, monkeypatch):
    plain = videomm.load("tiny", progress=False)
    heard = videomm.load("tiny", speech=SpeechConfig(), progress=False)
    off = videomm.load("tiny", speech=SpeechConfig("none"), fusion="hybrid", progress=False)
    before = plain.embed(video)
    entries = sorted(os.listdir(plain.cache.directory))
    for pipe in (heard, off):
        timeline = pipe.embed(video)
        assert timeline.embeddings.tobytes() == before.embeddings.tobytes()
        assert timeline.speech is None
        for ask in (
            lambda p: p.classify(video, LABELS),
            lambda p: p.ask(video, "When is there a cat?"),
        ):
            result = ask(pipe)
            assert replace(result, warnings=()) == replace(ask(plain), warnings=())
    # Entries of timelines are those that were there; subtitles have their own.
    assert set(entries) <= set(os.listdir(plain.cache.directory))
    write(video.with_suffix(".srt"))
    assert plain.embed(video).embeddings.tobytes() == before.embeddings.tobytes()
    assert plain.embed(video).speech is None
    monkeypatch.setattr(VideoPipeline, "_build", None)  # the timeline is still the cached one
    assert heard.embed(video).embeddings.tobytes() == before.embeddings.tobytes()
    assert plain.classify(video, LABELS).warnings == before.warnings


def test_late_fusion_hears_what_is_not_to_be_seen(video):
    write(video.with_suffix(".srt"))
    plain = videomm.load("tiny", progress=False)
    heard = videomm.load("tiny", speech=SpeechConfig(), progress=False)
    scores = [
        {item.label: item.score for item in pipe.classify(video, LABELS).labels}
        for pipe in (plain, heard)
    ]
    assert scores[1]["hello world"] > scores[0]["hello world"] + 0.05
    result = heard.classify(video, LABELS)
    assert result.warnings[-1] == (
        "1 text from clip.srt, fusion late, weight 0.40 beside 1 for the pictures"
    )
    inside = [s for s in result.segments if s.start <= 1.5 < s.end]
    assert inside[0].label == "hello world"
    answer = heard.ask(video, "When is there a hello world?")
    assert answer.evidence[0].start < 2.5
    assert answer.evidence[0].end > 1.0
    assert "what is said was mixed in" in " ".join(answer.warnings)
    assert plain.summarize(video).to_dict() == heard.summarize(video).to_dict()


def test_untrained_early_fusion_says_that_it_does_nothing(video):
    write(video.with_suffix(".srt"))
    plain = videomm.load("tiny", progress=False)
    early = videomm.load("tiny", fusion="early", progress=False)
    result = early.classify(video, LABELS)
    assert result.labels == plain.classify(video, LABELS).labels
    assert "untrained tiny attends to no text" in result.warnings[-1]
    with pytest.raises(InvalidInputError, match="none, early, late, hybrid, got 'both'"):
        videomm.load("tiny", fusion="both")


def test_speech_checks_itself():
    texts = (Subtitle(0, 1, "a"), Subtitle(1, 2, "b"))
    rows = np.eye(2, 4, dtype=np.float32)
    assert repr(Speech(texts, rows, "a.srt")) == "Speech(2 texts, 0.0..2.0 s, 'a.srt')"
    for wrong, message in [
        ((texts, rows[:1], ""), "1 embeddings for 2 subtitles"),
        ((texts, 2 * rows, ""), "L2-normalised"),
        ((texts[::-1], rows, ""), "order of their starts"),
        (((), rows[:0], ""), "one or more subtitles"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            Speech(*wrong)
    for start, end, text in [(2, 1, "a"), (-1, 1, "a"), (0, np.nan, "a"), (0, np.inf, "a")]:
        with pytest.raises(InvalidInputError, match="0 <= start <= end"):
            Subtitle(start, end, text)
    with pytest.raises(InvalidInputError, match="has no text"):
        Subtitle(0, 1, " ")
