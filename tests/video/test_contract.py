"""One contract for every decoder: not one wrong frame or time, on any clip.

The same checks run on decord (where the probe calls it exact), on PyAV, and on the reader,
which goes through the worker with the decoder that the probe chose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clips import WHOLE, Clip, Clips, read_counter
from videomm.config import DecodingConfig
from videomm.errors import DecoderNotExactError
from videomm.types import Frames
from videomm.video.decord_decoder import DecordDecoder
from videomm.video.frames_shown import Decoder, scaled_size
from videomm.video.probe import probe
from videomm.video.pyav_decoder import PyavDecoder
from videomm.video.reader import open_video

BACKENDS = ("decord", "pyav", "worker")

# Clips on which decord is proven exact; on all others asking for it is an error.
FOR_DECORD = {
    "h264_mp4",
    "h264_mkv",
    "h264_no_b_mp4",
    "h264_one_key_mp4",
    "h264_long_gop",
    "h264_10bit",
    "h264_odd_size",
    "h264_one_frame",
    "h264_fragmented",
    "h264_vfr_mp4",
    "h264_vfr_mkv",
    "mjpeg_mov",
}

GetFrames = Callable[..., Frames]


def in_process(make: Callable[..., Decoder], clip: Clip, decoder: str) -> GetFrames:
    """A decoder's ascending stream as frames in the order asked for."""
    found = probe(str(clip.path), DecodingConfig(decoder=decoder))

    def get(times: Sequence[float], short_side: int | None = None) -> Frames:
        order = np.argsort(times, kind="stable")
        running = make(found, short_side)
        pixels, true_times = [], []
        for shown in running.shown_at(np.asarray(times, dtype=np.float64)[order], lambda: False):
            assert shown.pixels is not None
            pixels += [shown.pixels] * shown.count
            true_times += [shown.time] * shown.count
        assert running.complete
        assert running.warnings == []  # in particular, decord did not hand over to PyAV
        back = np.argsort(order, kind="stable")
        return Frames(np.stack(pixels)[back], np.asarray(true_times)[back])

    return get


def getter(backend: str, clip: Clip) -> GetFrames:
    if backend == "decord":
        return in_process(DecordDecoder, clip, "decord")
    if backend == "pyav":
        return in_process(PyavDecoder, clip, "pyav")
    return open_video(clip.path).get_frames_at


def expected(clip: Clip, times: Sequence[float]) -> list[int]:
    """Which displayed frame is on screen at each time: the latest one at or before it."""
    return [max(0, sum(start <= time + 1e-9 for start in clip.times) - 1) for time in times]


def check(frames: Frames, clip: Clip, times: Sequence[float]) -> None:
    right = expected(clip, times)
    assert [read_counter(picture, clip) for picture in frames.pixels] == [
        clip.counters[index] for index in right
    ]
    np.testing.assert_allclose(frames.times, [clip.times[index] for index in right], atol=1e-6)
    assert frames.complete


def cases(names: Sequence[str] = WHOLE) -> list[tuple[str, str]]:
    return [
        (backend, name)
        for name in names
        for backend in BACKENDS
        if backend != "decord" or name in FOR_DECORD
    ]


@pytest.mark.parametrize(("backend", "name"), cases())
def test_every_frame(clips: Clips, backend: str, name: str) -> None:
    clip = clips.get(name)
    check(getter(backend, clip)(clip.times), clip, clip.times)


@pytest.mark.parametrize(("backend", "name"), cases())
def test_any_order_between_frames_repeats_and_past_the_end(
    clips: Clips, backend: str, name: str
) -> None:
    clip = clips.get(name)
    random = np.random.default_rng(7)
    times = random.uniform(0, clip.end * 1.1, size=25).tolist()
    times += [times[3], times[3], 0.0, clip.end, clip.end + 100.0, clip.times[-1]]
    check(getter(backend, clip)(times), clip, times)


@pytest.mark.parametrize(("backend", "name"), cases())
def test_sparse_and_scaled(clips: Clips, backend: str, name: str) -> None:
    clip = clips.get(name)
    times = clip.times[::9]
    short_side = max(8, min(clip.width, clip.height) // 2)
    frames = getter(backend, clip)(times, short_side=short_side)
    check(frames, clip, times)
    size = scaled_size(clip.width, clip.height, short_side)
    size = size[::-1] if clip.rotation % 180 else size
    assert frames.pixels.shape[2:0:-1] == size
    assert min(size) == short_side


@pytest.mark.parametrize("name", sorted(FOR_DECORD))
def test_auto_takes_decord_where_it_is_proven(clips: Clips, name: str) -> None:
    info = open_video(clips.get(name).path).info
    assert info.decoder == "decord"
    assert info.decoder_reason.startswith("exact: ")


@pytest.mark.parametrize("name", sorted(set(WHOLE) - FOR_DECORD))
def test_decord_is_refused_where_it_is_not_proven(clips: Clips, name: str) -> None:
    clip = clips.get(name)
    info = open_video(clip.path).info
    assert info.decoder == "pyav"
    assert info.decoder_reason
    with pytest.raises(DecoderNotExactError, match=r"decord is not exact on this file: .+"):
        open_video(clip.path, DecodingConfig(decoder="decord"))


@pytest.mark.parametrize("name", WHOLE)
def test_true_duration_size_and_start(clips: Clips, name: str) -> None:
    clip = clips.get(name)
    info = open_video(clip.path).info
    assert not [text for text in info.warnings if "cut off" in text or "states" in text]
    # Some containers give no length for the last frame: a frame at most may differ.
    assert info.duration == pytest.approx(clip.end, abs=0.041)
    turned = clip.rotation % 180 != 0
    assert (info.width, info.height) == (
        (clip.height, clip.width) if turned else (clip.width, clip.height)
    )
    assert info.rotation == clip.rotation
    assert info.start_seconds == pytest.approx(5.0 if name == "h264_start_5s" else 0.0, abs=0.6)


RANDOM = (
    "h264_mp4",
    "h264_open_mkv",
    "h264_long_gop",
    "h264_vfr_mkv",
    "h264_editlist",
    "h264_ts",
    "hevc_sparse",
    "hevc_open_mp4",
    "vp9_hidden",
    "vp8_hidden",
    "mpeg1_ps",
)

requests = st.lists(st.floats(0, 1.05), min_size=1, max_size=12)
property_settings = settings(
    max_examples=10, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.mark.parametrize(("backend", "name"), cases(RANDOM))
@property_settings
@given(shares=requests)
def test_random_requests(clips: Clips, backend: str, name: str, shares: list[float]) -> None:
    clip = clips.get(name)
    times = [share * clip.end for share in shares]
    check(getter(backend, clip)(times), clip, times)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "name"), cases())
@settings(property_settings, max_examples=25, derandomize=False)
@given(shares=requests)
def test_random_requests_on_every_clip(
    clips: Clips, backend: str, name: str, shares: list[float]
) -> None:
    clip = clips.get(name)
    times = [share * clip.end for share in shares]
    check(getter(backend, clip)(times), clip, times)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_float_just_under_a_frames_time_means_that_frame(clips: Clips, backend: str) -> None:
    clip = clips.get("h264_mp4")
    times = [np.nextafter(time, 0.0) for time in clip.times[1:]]
    frames = getter(backend, clip)(times)
    np.testing.assert_allclose(frames.times, clip.times[1:], atol=1e-9)


@pytest.mark.parametrize(
    ("matrix", "rotation"), [((-1, 0, 0, 1), 0), ((1, 0, 0, -1), 180), ((0, 1, 1, 0), 270)]
)
def test_a_mirrored_picture_is_mirrored(
    clips: Clips, tmp_path, matrix: tuple[int, int, int, int], rotation: int
) -> None:
    """The display matrix maps (x, y) to (a x + c y, b x + d y); the plain one is upright."""
    clip = clips.get("h264_mp4")
    a, b, c, d = matrix
    data = bytearray(clip.path.read_bytes())
    at = data.index(b"tkhd") + 44
    for index, value in enumerate((a, b, 0, c, d, 0)):
        data[at + 4 * index : at + 4 * index + 4] = (value * 0x10000 % 2**32).to_bytes(4, "big")
    path = tmp_path / "mirrored.mp4"
    path.write_bytes(data)
    reader = open_video(path)
    assert (reader.info.rotation, reader.info.decoder) == (rotation, "pyav")
    plain = open_video(clip.path, DecodingConfig(decoder="pyav")).get_frames_at([1.0]).pixels[0]
    height, width = plain.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = a * columns + c * rows, b * columns + d * rows
    x, y = x - x.min(), y - y.min()
    turned = np.zeros((y.max() + 1, x.max() + 1, 3), dtype=np.uint8)
    turned[y, x] = plain
    np.testing.assert_array_equal(reader.get_frames_at([1.0]).pixels[0], turned)


def test_the_counter_can_be_misread_by_no_size_or_rotation(clips: Clips) -> None:
    """The ruler itself: 75 frames give 75 different numbers, and a wrong frame is seen."""
    clip = clips.get("h264_rotate_90")
    frames = open_video(clip.path).get_frames_at(clip.times, short_side=40)
    assert len({read_counter(picture, clip) for picture in frames.pixels}) == 75
    with pytest.raises(AssertionError):
        check(Frames(frames.pixels[::-1], frames.times), clip, clip.times)
