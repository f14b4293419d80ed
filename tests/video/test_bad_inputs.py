"""Each kind of bad input has its own error, and each message is one line that helps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.clips import Clips, draw, write_audio, write_pictures
from videomm import errors
from videomm.config import DecodingConfig
from videomm.video.reader import open_video


def text_file(folder: Path) -> Path:
    path = folder / "notes.mp4"
    path.write_text("not a video at all\n" * 50)
    return path


def random_file(folder: Path) -> Path:
    path = folder / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


def playlist(folder: Path) -> Path:
    path = folder / "list.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")
    return path


def still_picture(folder: Path) -> Path:
    return write_pictures(folder / "photo.png", [draw(1, 160, 96)], "png", "rgb24")


def empty_file(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def pipe(folder: Path) -> Path:
    path = folder / "pipe.mp4"
    os.mkfifo(path)
    return path


CASES = [
    (lambda folder: folder / "missing.mp4", errors.VideoNotFoundError),
    (lambda folder: "", errors.VideoNotFoundError),
    (lambda folder: "nul\0byte.mp4", errors.VideoNotFoundError),
    (lambda folder: "x" * 5000, errors.VideoNotFoundError),
    (lambda folder: folder, errors.VideoIsDirectoryError),
    (empty_file, errors.EmptyVideoError),
    (lambda folder: "https://example.org/cat.mp4", errors.RemoteVideoError),
    (lambda folder: "rtsp://camera/stream", errors.RemoteVideoError),
    (lambda folder: 7, errors.InvalidInputError),
    (pipe, errors.VideoUnreadableError),
    (text_file, errors.NotAVideoError),
    (random_file, errors.NotAVideoError),
    (playlist, errors.NotAVideoError),
    (still_picture, errors.NotAVideoError),
    (lambda folder: write_audio(folder / "tone.mp4"), errors.NoVideoStreamError),
]


def assert_helpful(error: Exception) -> None:
    message = str(error)
    assert "\n" not in message
    assert 20 < len(message) < 6000
    assert not message.endswith(" ")


@pytest.mark.parametrize(("make", "kind"), CASES)
def test_kind_of_error(tmp_path, make, kind) -> None:
    with pytest.raises(errors.VideommError) as caught:
        open_video(make(tmp_path))
    assert type(caught.value) is kind
    assert_helpful(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path) -> None:
    path = tmp_path / "locked.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(errors.VideoUnreadableError):
        open_video(path)


def test_encrypted(clips: Clips) -> None:
    with pytest.raises(errors.EncryptedVideoError, match="DRM"):
        open_video(clips.get("encrypted").path)


def test_unsupported_codec(clips: Clips, tmp_path) -> None:
    path = tmp_path / "unknown.avi"
    path.write_bytes(clips.get("mjpeg_avi").path.read_bytes().replace(b"MJPG", b"XQZ9"))
    with pytest.raises(errors.UnsupportedCodecError, match="convert it") as caught:
        open_video(path)
    assert_helpful(caught.value)


def test_nothing_decodes(clips: Clips, tmp_path) -> None:
    path = tmp_path / "zeros.mp4"
    data = bytearray(clips.get("h264_mp4").path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(data)
    with pytest.raises(errors.DamagedVideoError, match="not one of its 75 h264 packets") as caught:
        open_video(path)
    assert_helpful(caught.value)


def test_a_cover_picture_is_no_video(data_dir) -> None:
    with pytest.raises(errors.NoVideoStreamError, match="cover picture"):
        open_video(data_dir / "odd" / "gen_audio_with_cover_art.m4a")


def test_paths_that_look_like_patterns_or_protocols_are_plain_names(clips: Clips, tmp_path) -> None:
    data = clips.get("h264_one_frame").path.read_bytes()
    for name in ("100%03d.mp4", "concat:a|b.mp4", "a?*[x].mp4", "-i.mp4", "ü 視頻.mp4"):
        (tmp_path / name).write_bytes(data)
        assert len(open_video(tmp_path / name).get_frames_at([0.0])) == 1
    raw = os.fsencode(tmp_path) + b"/caf\xe9.mp4"  # not UTF-8
    Path(os.fsdecode(raw)).write_bytes(data)
    assert len(open_video(os.fsdecode(raw)).get_frames_at([0.0])) == 1


def test_relative_paths_and_info_path(clips: Clips, monkeypatch) -> None:
    path = clips.get("h264_mp4").path
    monkeypatch.chdir(path.parent)
    reader = open_video(path.name)
    assert reader.info.path == path.name
    assert len(reader.get_frames_at([0.0])) == 1


@pytest.mark.parametrize("times", [[-0.1], [float("nan")], [float("inf")], [[0.0]], 3.0, ["a"]])
def test_bad_times(clips: Clips, times) -> None:
    reader = open_video(clips.get("h264_mp4").path)
    with pytest.raises(errors.InvalidInputError, match="times must be"):
        reader.get_frames_at(times)
    with pytest.raises(errors.InvalidInputError, match="times must be"):
        reader.iter_frames_at(times)


def test_bad_arguments(clips: Clips) -> None:
    reader = open_video(clips.get("h264_mp4").path)
    with pytest.raises(errors.InvalidInputError, match="ascending"):
        reader.iter_frames_at([1.0, 0.5])
    for bad in (0, -4, 2.5, True):
        with pytest.raises(errors.InvalidInputError, match="short_side"):
            reader.get_frames_at([0.0], short_side=bad)
        with pytest.raises(errors.InvalidInputError, match="batch_size"):
            reader.iter_frames_at([0.0], batch_size=bad)
    reader.close()
    with pytest.raises(errors.InvalidInputError, match="closed"):
        reader.get_frames_at([0.0])


def test_no_times_give_no_frames(clips: Clips) -> None:
    with open_video(clips.get("h264_mp4").path, DecodingConfig()) as reader:
        frames = reader.get_frames_at([], short_side=48)
        assert frames.pixels.shape == (0, 48, 80, 3)
        assert list(reader.iter_frames_at([])) == []
