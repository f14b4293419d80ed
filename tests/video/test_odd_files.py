"""A folder of odd, broken and hostile files: no crash, no hang, no traceback, no wrong frame."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from videomm.config import DecodingConfig
from videomm.errors import VideoError
from videomm.video.reader import open_video
from videomm.video.worker import DecodeWorker

# What each file that cannot be read must say; every other one must give frames.
KINDS = {
    "DamagedVideoError": (
        "fuzzcorpus_0-timescale.mp4 fuzzcorpus_448636.ogv gen_header_only_no_mdat.mp4 "
        "small_AudioVideoInterleave.avi small_WindowsMediaVideo.wmv small_gif.gif"
    ),
    "EmptyVideoError": "gen_zero_length.mp4 moviepy_result.webm",
    "EncryptedVideoError": "fuzzcorpus_gizmo-frag-cencinit.mp4 fuzzcorpus_short-cenc.mp4",
    "NoVideoStreamError": (
        "fuzzcorpus_80.mp4 fuzzcorpus_sample.mpeg gen_audio_only.mp4 "
        "gen_audio_with_cover_art.m4a signlang_ImgVideo.mp4 small_Mpeg4.mp4 "
        "small_mp4-with-audio.mp4 torchcodec_nasa_13013.mp4.audio.mp3"
    ),
    "NotAVideoError": (
        "fuzzcorpus_bogus.ogv fuzzcorpus_bug1079747.mp4 fuzzcorpus_new.avi "
        "fuzzcorpus_threeframes-end.gif gen_random_bytes.mp4 gen_stsz_huge_count.mp4 "
        "gen_textfile.mp4 gen_truncated_half_no_moov.mp4 small_FlashVideo.flv"
    ),
    "UnsupportedCodecError": "fuzzcorpus_FM2_SVA_C.264",
}
EXPECTED = {name: kind for kind, names in KINDS.items() for name in names.split()}

# Counters: the number of the first displayed frame, and how far it moves a second.
FIRST = {"gen_editlist_copycut.mp4": 33, "gen_h264_ts_cut_front.ts": 43}
COUNTED = [
    "gen_av1.mp4",
    "gen_avc1_box_says_65535x65535.mp4",
    "gen_baseline_h264_aac.mp4",
    "gen_bframes_neg_cts.mp4",
    "gen_editlist_copycut.mp4",
    "gen_fragmented.mp4",
    "gen_h264.ts",
    "gen_h264_ts_cut_front.ts",
    "gen_hevc_hdr10.mp4",
    "gen_long_gop_1key.mp4",
    "gen_mjpeg.avi",
    "gen_mpeg1_ps.mpg",
    "gen_mpeg2_interlaced.ts",
    "gen_odd_321x181_yuv444.mp4",
    "gen_one_frame.mp4",
    "gen_raw.h264",
    "gen_theora.ogv",
    "gen_truncated_faststart_60pct.mp4",
    "gen_truncated_half.mkv",
    "gen_vfr.mp4",
    "gen_vp9.webm",
    "gen_wmv2.wmv",
    "gen_midstream_size_change.ts",
]


def counter(picture: np.ndarray) -> int:
    """12 squares of 16 px along the top left, least significant first."""
    return sum(int(picture[4:12, 16 * i + 4 : 16 * i + 12].mean() > 127) << i for i in range(12))


@pytest.fixture(scope="module")
def odd(data_dir: Path) -> Path:
    folder = data_dir / "odd"
    if not folder.is_dir():
        pytest.skip(f"no odd files in {folder}")
    return folder


@pytest.fixture(scope="module")
def names(odd: Path) -> list[str]:
    with (odd / "MANIFEST.csv").open(newline="") as file:
        return [row["file"] for row in csv.DictReader(file)]


def test_each_gives_frames_or_its_own_error(odd: Path, names: list[str]) -> None:
    config = DecodingConfig(timeout_seconds=60)
    seen, messages = {}, []
    with DecodeWorker() as worker:
        for name in names:
            try:
                reader = open_video(odd / name, config, worker=worker)
                times = np.linspace(0, reader.info.duration, 12)
                batches = list(reader.iter_frames_at(times, short_side=64))
                assert sum(map(len, batches)) > 0, name
                seen[name] = "frames"
            except VideoError as error:
                seen[name] = error.kind
                messages.append(str(error))
        assert len(worker.pids) == 1
    assert len(names) > 80
    assert not [text for text in messages if "\n" in text or len(text) < 40]
    assert seen == {name: EXPECTED.get(name, "frames") for name in names}


@pytest.mark.parametrize("name", COUNTED)
def test_counters(odd: Path, name: str) -> None:
    reader = open_video(odd / name)
    times = np.arange(0, reader.info.duration, 0.04)
    frames = reader.get_frames_at(times)
    assert frames.complete == (not name.startswith("gen_truncated"))
    first = FIRST.get(name, 0)
    got = np.array([counter(picture) for picture in frames.pixels])
    if name == "gen_midstream_size_change.ts":  # the second half has another size
        got, frames_times = got[:50], frames.times[:50]
    else:
        frames_times = frames.times
    np.testing.assert_array_equal(got, first + np.round(frames_times * 25).astype(int))


def test_a_lost_packet_is_left_out(odd: Path) -> None:
    reader = open_video(odd / "gen_corrupt_mdat.mp4")
    frames = reader.get_frames_at(np.arange(0, 10, 0.04))
    assert (len(frames), frames.complete) == (249, False)


def test_the_file_that_hangs_decord_decodes(odd: Path) -> None:
    reader = open_video(odd / "fuzzcorpus_launch.mpg", DecodingConfig(timeout_seconds=30))
    assert len(reader.get_frames_at([0.0, 5.0, 9.9, 10.0])) == 4
    assert reader.info.duration == pytest.approx(10.04, abs=0.05)


@pytest.mark.parametrize("name", ["decord_video_90.mov", "decord_video_270.mov"])
def test_rotation_equals_decords(odd: Path, name: str) -> None:
    decord = pytest.importorskip("decord")
    reader = open_video(odd / name)
    assert reader.info.decoder == "pyav"
    mine = reader.get_frames_at([0.0]).pixels[0].astype(int)
    theirs = decord.VideoReader(str(odd / name))[0].asnumpy().astype(int)
    assert mine.shape == theirs.shape
    assert np.abs(mine - theirs).mean() < 3
