"""Damaged and untruthful files: what decodes is given, exactly, and the rest is named."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.clips import RECIPES, Clips, joined, read_counter
from videomm.video.reader import open_video


@pytest.mark.parametrize(("name", "least"), [("cut_mkv", 60), ("cut_mp4", 70)])
def test_a_cut_file_gives_its_part(clips: Clips, name: str, least: int) -> None:
    clip = clips.get(name)
    reader = open_video(clip.path)
    assert reader.info.duration == pytest.approx(clip.end, abs=0.05)
    assert any("cut off" in text for text in reader.info.warnings)
    frames = reader.get_frames_at(clip.times)
    assert not frames.complete
    assert least < len(frames) < len(clip.times) - 30
    assert [read_counter(picture, clip) for picture in frames.pixels] == list(range(len(frames)))
    seconds = frames.times[-1] + 0.04
    assert f"decoded {seconds:.1f} s of 6.0 s" in frames.warnings
    # The part alone is whole.
    part = reader.get_frames_at(clip.times[:40])
    assert (len(part), part.complete) == (40, True)
    # Nothing is left of the lost part, not even a stale frame.
    lost = reader.get_frames_at([5.0, 5.5])
    assert (len(lost), lost.complete) == (0, False)


@pytest.mark.parametrize("name", ["cut_mkv", "cut_mp4"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_last_batch_tells_what_was_lost(clips: Clips, name: str, batch_size: int) -> None:
    clip = clips.get(name)
    reader = open_video(clip.path)
    *first, last = reader.iter_frames_at(clip.times, batch_size=batch_size)
    assert all(batch.complete and len(batch) == batch_size for batch in first)
    assert not last.complete
    assert any(text.startswith("decoded ") for text in last.warnings)
    whole = reader.get_frames_at(clip.times)
    np.testing.assert_array_equal(
        np.concatenate([batch.times for batch in [*first, last]]), whole.times
    )


def test_a_broken_packet_costs_its_frames_only(clips: Clips, tmp_path) -> None:
    """One packet in the middle GOP is overwritten: all other GOPs are exact."""
    clip = clips.get("h264_no_b_mp4")
    data = bytearray(clip.path.read_bytes())
    import av

    with av.open(str(clip.path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    victim = packets[30]
    data[victim.pos : victim.pos + victim.size] = b"\xff" * victim.size
    path = tmp_path / "broken.mp4"
    path.write_bytes(data)
    frames = open_video(path).get_frames_at(clip.times)
    assert not frames.complete
    assert any("could not be decoded" in text for text in frames.warnings)
    assert 30 / 25 not in frames.times.round(6)
    for picture, time in zip(frames.pixels, frames.times, strict=True):
        index = round(time * 25)
        if index < 30 or index >= 48:  # the GOP from 24 on holds the broken packet
            assert read_counter(picture, clip) == index


def test_joined_streams_follow_one_another(clips: Clips) -> None:
    first, second = clips.get("h264_ts"), clips.get("h264_open_ts")
    clip = joined(first, second, first.path.with_name("joined.ts"))
    reader = open_video(clip.path)
    assert reader.info.duration == pytest.approx(clip.end, abs=0.05)
    frames = reader.get_frames_at(clip.times)
    assert [read_counter(picture, clip) for picture in frames.pixels] == list(clip.counters)
    assert any("jump back" in text for text in frames.warnings)


def test_a_change_of_size_is_scaled_and_named(clips: Clips) -> None:
    from dataclasses import replace

    first = clips.get("h264_ts")
    larger = clips.make(replace(RECIPES["h264_ts"], file="large.ts", width=320, height=192))
    clip = joined(first, larger, first.path.with_name("sizes.ts"))
    frames = open_video(clip.path).get_frames_at(clip.times)
    assert frames.pixels.shape == (150, 96, 160, 3)
    np.testing.assert_allclose(frames.times, clip.times, atol=1e-6)
    assert any("picture size changes" in text for text in frames.warnings)


@pytest.mark.parametrize("stated", [0.5, 100.0])
def test_a_stated_duration_that_lies(clips: Clips, tmp_path, stated: float) -> None:
    clip = clips.get("h264_mkv")
    data = bytearray(clip.path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, a float64 in milliseconds
    assert struct.unpack(">d", data[at : at + 8])[0] == pytest.approx(3000.0)
    data[at : at + 8] = struct.pack(">d", stated * 1000)
    path = tmp_path / "lies.mkv"
    path.write_bytes(data)
    reader = open_video(path)
    assert reader.info.duration == pytest.approx(clip.end, abs=0.001)
    assert any(f"states {stated:.1f} s" in text for text in reader.info.warnings)
    frames = reader.get_frames_at(clip.times)
    assert frames.complete
    assert [read_counter(picture, clip) for picture in frames.pixels] == list(clip.counters)


def test_a_raw_stream_names_where_its_times_come_from(clips: Clips) -> None:
    info = open_video(clips.get("h264_raw").path).info
    assert any("rate of 25 a second" in text for text in info.warnings)


@pytest.mark.parametrize("name", ["h264_mp4", "h264_mkv", "h264_ts", "vp9_webm", "mpeg1_ps"])
def test_files_cut_anywhere_never_give_a_wrong_frame(clips: Clips, name: str, tmp_path) -> None:
    from videomm.errors import VideoError

    clip = clips.get(name)
    data = clip.path.read_bytes()
    opened = 0
    for share in (0.02, 0.1, 0.33, 0.5, 0.77, 0.9, 0.99):
        path = tmp_path / f"cut{clip.path.suffix}"
        path.write_bytes(data[: int(len(data) * share)])
        try:
            reader = open_video(path)
            frames = reader.get_frames_at(clip.times)
        except VideoError:
            continue
        opened += 1
        inner = frames.times < frames.times.max() - 0.2  # a cut packet may decode to a part
        for picture, time in zip(frames.pixels[inner], frames.times[inner], strict=True):
            assert read_counter(picture, clip) == round(time * 25)
    assert opened or name == "h264_mp4"  # its index is at the end
