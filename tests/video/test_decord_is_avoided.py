"""Where decord itself returns wrong frames, and that `auto` therefore does not use it there.

decord runs in a process of its own here, driven directly, since some of these hang it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from tests.clips import Clip, Clips, read_counter
from videomm.video.reader import open_video

DIRECTLY = """
import json, sys
import av, decord, numpy as np
path, indices, out = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
reader = decord.VideoReader(path)
np.save(out, reader.get_batch(indices).asnumpy())
print(json.dumps([float(reader.get_frame_timestamp(i)[0]) for i in indices]))
"""


def from_decord(clip: Clip, indices: Sequence[int], folder) -> tuple[list[int], list[float]] | str:
    """Counters and times that decord gives, or how it fails."""
    out = folder / "frames.npy"
    command = [sys.executable, "-c", DIRECTLY, str(clip.path), json.dumps(list(indices)), str(out)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["crashes"])[-1]
    return [read_counter(picture, clip) for picture in np.load(out)], json.loads(done.stdout)


WRONG_FRAMES = (
    "h264_open_mp4",
    "h264_open_mkv",
    "h264_intra_refresh",
    "h264_ts",
    "h264_editlist",
    "h264_flv",
    "hevc_open_mp4",
    "mpeg1_ps",
    "mpeg2_ps",
    "mpeg2_ts",
    "mpeg4_avi",
)
NO_FRAMES = ("h264_16px", "h264_raw", "av1_mp4", "gif", "vp9_live")


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_decord_gives_wrong_frames(clips: Clips, name: str, tmp_path) -> None:
    clip = clips.get(name)
    indices = list(range(0, len(clip.times), 8))
    random = np.random.default_rng(0).permutation(len(clip.times))[:30].tolist()
    results = [from_decord(clip, order, tmp_path) for order in (indices, random)]
    wrong = sum(
        result[0] != [clip.counters[index] for index in order]
        for result, order in zip(results, (indices, random), strict=True)
        if not isinstance(result, str)
    )
    assert wrong, f"decord is right on {name} now ({results}): the rule may go"
    assert open_video(clip.path).info.decoder == "pyav"


@pytest.mark.parametrize("name", NO_FRAMES)
def test_decord_gives_no_frames(clips: Clips, name: str, tmp_path) -> None:
    clip = clips.get(name)
    result = from_decord(clip, range(0, len(clip.times), 8), tmp_path)
    assert isinstance(result, str), f"decord reads {name} now: the rule may go"
    assert open_video(clip.path).info.decoder == "pyav"


@pytest.mark.parametrize("name", ["h264_two_frames", "mpeg4_avi", "h264_editlist"])
def test_decord_gives_wrong_times(clips: Clips, name: str, tmp_path) -> None:
    clip = clips.get(name)
    indices = range(len(clip.times))
    result = from_decord(clip, indices, tmp_path)
    assert not isinstance(result, str)
    assert np.abs(np.asarray(result[1]) - np.asarray(clip.times)).max() > 2e-3
    assert open_video(clip.path).info.decoder == "pyav"


def test_a_file_that_would_not_fit_goes_to_pyav(clips: Clips, monkeypatch) -> None:
    from videomm.video import probe as probing

    clip = clips.get("h264_mp4")
    monkeypatch.setattr(probing, "DECORD_MEMORY_BYTES", 3 * 160 * 96 * 74)
    info = probing.probe(str(clip.path)).info
    assert info.decoder == "pyav"
    assert "decodes ahead without bound" in info.decoder_reason


def test_without_decord_pyav_reads_and_says_so(clips: Clips, monkeypatch) -> None:
    from videomm.config import DecodingConfig
    from videomm.errors import DecoderNotExactError
    from videomm.video.probe import probe

    monkeypatch.setitem(sys.modules, "decord", None)
    path = str(clips.get("h264_mp4").path)
    info = probe(path).info
    assert (info.decoder, "decord is not installed" in info.decoder_reason) == ("pyav", True)
    with pytest.raises(DecoderNotExactError, match="not installed"):
        probe(path, DecodingConfig(decoder="decord"))


def test_pyav_takes_over_where_decord_fails_on_the_way(clips: Clips, monkeypatch) -> None:
    """The file loses its middle between probing and decoding: what decodes still comes."""
    from videomm.video.decord_decoder import DecordDecoder
    from videomm.video.probe import probe

    clip = clips.get("h264_no_b_mp4")
    copy = clip.path.with_name("breaks.mp4")
    data = bytearray(clip.path.read_bytes())
    copy.write_bytes(data)
    found = probe(str(copy))
    assert found.info.decoder == "decord"
    start = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[start : start + 400] = b"\xff" * 400
    copy.write_bytes(data)
    decoder = DecordDecoder(found)
    shown = list(decoder.shown_at(np.asarray(clip.times), lambda: False))
    assert sum(item.count for item in shown) == len(clip.times)
    assert any("PyAV decoded the rest" in text for text in decoder.warnings)
    # Everything before the damage is exact, whoever decoded it.
    for item in shown[:20]:
        assert item.pixels is not None
        assert read_counter(item.pixels, clip) == round(item.time * 25)
