"""Subtitle files and streams become the same plain texts with the video's seconds."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clips import draw
from videomm.config import DecodingConfig
from videomm.errors import NotAVideoError, SubtitlesUnreadableError
from videomm.video import subtitles
from videomm.video.subtitles import find_sidecar, parse_file, parse_stream, plain_text
from videomm.video.worker import DecodeWorker

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> {\\an8}world
second line

2
00:00:03,000 --> 00:00:04,000
Tom &amp; <font color="red">Jerry</font>, 1 < 2
"""
VTT = """WEBVTT

00:01.000 --> 00:02.500 align:start
<v Bob>Hello <b>world</b>
second line

00:03.000 --> 00:04.000
Tom &amp; Jerry, 1 &lt; 2
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, Alignment
Style: Default,Arial,16,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,Tom & Jerry, 1 < 2
Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\i1}Hello world{\\i0}\\Nsecond line
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}
"""
EXPECTED = [(1.0, 2.5, "Hello world second line"), (3.0, 4.0, "Tom & Jerry, 1 < 2")]


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(("name", "text"), [("a.srt", SRT), ("a.vtt", VTT), ("a.ass", ASS)])
def test_formats_give_the_same_plain_texts(name, text, tmp_path):
    found = parse_file(write(tmp_path / name, text))
    assert found["subtitles"] == EXPECTED
    assert found["source"] == ""
    assert found["warnings"] == []


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_with_and_without_a_byte_order_mark(codec, tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,000\nÄpfel für 猫\n"
    found = parse_file(write(tmp_path / "a.srt", text.encode(codec)))
    assert found["subtitles"] == [(1.0, 2.0, "Äpfel für 猫")]
    assert found["warnings"] == []


def test_other_bytes_are_read_with_a_warning(tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,000\nÄpfel\n".encode("cp1252")
    found = parse_file(write(tmp_path / "a.srt", text))
    assert found["subtitles"] == [(1.0, 2.0, "Äpfel")]
    assert found["warnings"] == [
        "the subtitles are not UTF-8; read as Windows-1252, letters may be wrong"
    ]


BAD = {
    "empty": b"",
    "prose": b"Once upon a time there was a cat.\n" * 20,
    "noise": bytes(range(256)) * 40,
    "no text": b"1\n00:00:01,000 --> 00:00:02,000\n<i></i>\n",
    "playlist": b"#EXTM3U\n#EXTINF:1,\nother.ts\n",
}


@pytest.mark.parametrize("suffix", subtitles.FORMATS)
@pytest.mark.parametrize("kind", BAD)
def test_files_without_timed_text_are_one_clear_error(kind, suffix, tmp_path):
    path = write(tmp_path / f"a{suffix}", BAD[kind])
    with pytest.raises(SubtitlesUnreadableError, match="has no timed text in it; expected") as info:
        parse_file(path)
    assert "\n" not in str(info.value)


def test_large_files_long_texts_and_many_texts_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(subtitles, "MOST_BYTES", 2000)
    monkeypatch.setattr(subtitles, "MOST_SUBTITLES", 2)
    monkeypatch.setattr(subtitles, "MOST_CHARACTERS", 10)
    with pytest.raises(SubtitlesUnreadableError, match="is it a subtitle file"):
        parse_file(write(tmp_path / "a.srt", b"x" * 2001))
    entry = "{0}\n00:00:0{0},000 --> 00:00:0{0},500\n" + "ab" * 10 + "\n\n"
    found = parse_file(write(tmp_path / "a.srt", "".join(map(entry.format, range(1, 5)))))
    assert [text for _, _, text in found["subtitles"]] == ["ab" * 5] * 2
    assert found["warnings"] == [
        "only the first 2 subtitles are used",
        "2 subtitles are longer than 10 letters and were cut",
    ]


words = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=12)
cues = st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**4), words), min_size=1)


def stamp(ms: int) -> str:
    return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cues)
def test_what_was_written_is_read_to_the_millisecond(tmp_path, rows):
    rows = sorted({start: (start, length, text) for start, length, text in rows}.values())
    parts = [
        f"{number}\n{stamp(start)} --> {stamp(start + length)}\n{text}\n"
        for number, (start, length, text) in enumerate(rows, 1)
    ]
    found = parse_file(write(tmp_path / "a.srt", "\n".join(parts)))["subtitles"]
    assert [text for _, _, text in found] == [text for _, _, text in rows]
    for (start, end, _), (begin, length, _) in zip(found, rows, strict=True):
        assert start == pytest.approx(begin / 1000, abs=1e-6)
        assert end == pytest.approx((begin + length) / 1000, abs=1e-6)


def test_plain_text_keeps_what_is_no_markup():
    assert plain_text(r"a {b} c\Nd") == "a {b} c d"
    assert plain_text("5 < 6 > 4") == "5 < 6 > 4"
    assert plain_text("{\\p1}m 0 0{\\p0}seen") == "seen"
    assert plain_text("<00:01.000>one<c.loud> two</c>") == "one two"


def test_sidecars_are_found_in_a_fixed_order(tmp_path):
    video = tmp_path / "clip.mp4"
    names = ["clip.srt", "clip.vtt", "clip.ass", "clip.en.srt", "clip.en-GB.vtt", "clip.de.srt"]
    for name in [*names, "other.srt", "clip.txt", "clip.part2.srt", "clipped.srt"]:
        (tmp_path / name).touch()
    (tmp_path / "clip.ssa").mkdir()
    found = []
    while (sidecar := find_sidecar(str(video))) is not None:
        found.append(Path(sidecar).name)
        os.remove(sidecar)
    assert found == names
    assert find_sidecar(str(tmp_path / "gone" / "clip.mp4")) is None


def write_video(path: Path, texts: dict[str, list[tuple[float, float, str]]], start: int = 0):
    """A video with a subtitle stream a language; its first frame is at `start` / 25 seconds."""
    codec = {".mkv": "subrip", ".mp4": "mov_text"}[path.suffix]
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        streams = {}
        for language in texts:
            streams[language] = stream = container.add_stream(codec)
            stream.metadata["language"] = language
            stream.codec_context.subtitle_header = ASS.split("Comment:")[0].encode()
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(draw(index, 160, 96), "rgb24")
            frame.pts, frame.time_base = index + start, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for language, rows in texts.items():
            for begin, end, text in rows:
                body = text.encode()
                if codec == "mov_text":
                    body = len(body).to_bytes(2, "big") + body
                packet = av.Packet(body)
                packet.stream, packet.time_base = streams[language], Fraction(1, 1000)
                packet.pts = packet.dts = round(begin * 1000)
                packet.duration = round((end - begin) * 1000)
                container.mux(packet)
    return str(path)


ROWS = [(0.2, 0.5, "<i>one</i>"), (0.6, 0.9, "two")]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_streams_are_read_english_first(suffix, tmp_path):
    german = [(0.2, 0.5, "eins")]
    path = write_video(tmp_path / f"a{suffix}", {"ger": german, "eng": ROWS})
    found = parse_stream(path, 0.0)
    assert found["source"] == "subtitle stream 2 (eng)"
    assert [text for _, _, text in found["subtitles"]] == ["one", "two"]
    spans = [time for start, end, _ in found["subtitles"] for time in (start, end)]
    assert spans == pytest.approx([0.2, 0.5, 0.6, 0.9], abs=0.002)


def test_times_start_at_the_first_displayed_frame(tmp_path, worker: DecodeWorker):
    late = [(start + 5, end + 5, text) for start, end, text in [(-0.5, 0.1, "zero"), *ROWS]]
    path = write_video(tmp_path / "a.mkv", {"eng": late}, start=125)
    found = worker.subtitles(path, DecodingConfig())["subtitles"]
    assert [text for _, _, text in found] == ["zero", "one", "two"]
    spans = [time for start, end, _ in found for time in (start, end)]
    assert spans == pytest.approx([0.0, 0.1, 0.2, 0.5, 0.6, 0.9], abs=0.002)


def test_a_video_without_a_stream_has_no_texts(tmp_path, worker: DecodeWorker):
    path = write_video(tmp_path / "a.mkv", {})
    assert worker.subtitles(path, DecodingConfig()) == {
        "subtitles": [],
        "source": "",
        "warnings": [],
    }


def test_files_are_read_in_the_decoding_process(tmp_path, worker: DecodeWorker):
    found = worker.subtitles(write(tmp_path / "a.vtt", VTT), DecodingConfig())
    assert [tuple(item) for item in found["subtitles"]] == EXPECTED
    (pid,) = worker.pids
    with pytest.raises(SubtitlesUnreadableError, match=r"a\.srt' has no timed text"):
        worker.subtitles(write(tmp_path / "a.srt", b""), DecodingConfig())
    with pytest.raises(NotAVideoError):
        worker.subtitles(write(tmp_path / "a.mkv", b"noise" * 99), DecodingConfig())
    assert worker.pids == [pid]  # an error ends no process
    os.kill(pid, 9)
    assert worker.subtitles(write(tmp_path / "a.vtt", VTT), DecodingConfig()) == found
