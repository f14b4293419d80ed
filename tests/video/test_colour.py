"""Colours against a conversion written out in NumPy, for each matrix and range, by decoder."""

from __future__ import annotations

import numpy as np
import pytest

from tests.clips import Clips, draw, write_pictures
from videomm.config import DecodingConfig
from videomm.video.reader import open_video

# Kr and Kb of ITU-R BT.601, BT.709 and BT.2020.
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
LOSSLESS = {"preset": "ultrafast", "qp": "1"}

# Y, Cb, Cr of four blocks.
BLOCKS = ((60, 128, 128), (110, 90, 190), (150, 60, 90), (100, 180, 90))

# What swscale loses by its rounding.
TOLERANCE = 3.5


def to_rgb(block, matrix: str, full: bool) -> np.ndarray:
    kr, kb = WEIGHTS[matrix]
    y, cb, cr = (float(value) for value in block)
    if full:
        y, cb, cr = y / 255, (cb - 128) / 255, (cr - 128) / 255
    else:
        y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.array([red, green, blue]) * 255, 0, 255)


def blocks_420(dtype=np.uint8, shift: int = 0) -> np.ndarray:
    """Four blocks of 80x48 side by side as planar 4:2:0, (72, 320)."""
    planes = []
    for plane, width in ((0, 80), (1, 40), (2, 40)):
        height = 48 if plane == 0 else 24
        row = np.concatenate([np.full((height, width), block[plane]) for block in BLOCKS], axis=1)
        planes.append(row.reshape(-1, 320))
    return (np.concatenate(planes) << shift).astype(dtype)


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize("short_side", [None, 24])
@pytest.mark.parametrize(
    ("matrix", "colorspace", "full"),
    [
        ("bt601", None, False),
        ("bt601", 6, False),
        ("bt601", 5, True),
        ("bt709", 1, False),
        ("bt709", 1, True),
        ("bt2020", 9, False),
        ("bt2020", 9, True),
    ],
)
def test_matrix_and_range(tmp_path, matrix, colorspace, full, short_side, decoder) -> None:
    tags = {"color_range": 2 if full else 1}
    if colorspace is not None:
        tags["colorspace"] = colorspace
    path = write_pictures(tmp_path / "c.mp4", [blocks_420()] * 5, options=LOSSLESS, tags=tags)
    reader = open_video(path, DecodingConfig(decoder=decoder))
    picture = reader.get_frames_at([0.1], short_side=short_side).pixels[0]
    height, width = picture.shape[:2]
    for index, block in enumerate(BLOCKS):
        middle = picture[height // 2, int((index + 0.5) * width / 4)].astype(float)
        np.testing.assert_allclose(middle, to_rgb(block, matrix, full), atol=TOLERANCE)


def test_the_matrices_differ_by_more_than_the_tolerance() -> None:
    """So that a decoder which ignores the tag cannot pass."""
    colours = [
        np.array([to_rgb(block, matrix, full) for block in BLOCKS])
        for matrix in WEIGHTS
        for full in (False, True)
    ]
    for index, one in enumerate(colours):
        for other in colours[:index]:
            assert np.abs(one - other).max() > 2 * TOLERANCE


def test_hdr_keeps_its_matrix_and_is_named(tmp_path) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    picture = blocks_420(np.uint16, shift=2)
    path = write_pictures(
        tmp_path / "hdr.mp4", [picture] * 3, pix_fmt="yuv420p10le", options=LOSSLESS, tags=tags
    )
    reader = open_video(path)
    assert any("HDR (PQ)" in text for text in reader.info.warnings)
    got = reader.get_frames_at([0.0]).pixels[0]
    for index, block in enumerate(BLOCKS):
        np.testing.assert_allclose(
            got[24, 40 + 80 * index].astype(float), to_rgb(block, "bt2020", False), atol=TOLERANCE
        )


def test_a_rare_matrix_is_read_as_the_nearest_and_named(tmp_path) -> None:
    tags = {"colorspace": 10, "color_range": 1}  # BT.2020 constant luminance
    path = write_pictures(tmp_path / "cl.mp4", [blocks_420()] * 3, options=LOSSLESS, tags=tags)
    reader = open_video(path)
    assert any("no exact conversion" in text for text in reader.info.warnings)
    assert reader.info.decoder == "pyav"
    got = reader.get_frames_at([0.0]).pixels[0]
    np.testing.assert_allclose(
        got[24, 120].astype(float), to_rgb(BLOCKS[1], "bt2020", False), atol=TOLERANCE
    )


def test_rgb_streams_keep_their_colours(tmp_path) -> None:
    picture = draw(5, 160, 96)
    path = write_pictures(tmp_path / "rgb.mkv", [picture] * 3, "libx264rgb", "rgb24", {"qp": "0"})
    got = open_video(path).get_frames_at([0.0]).pixels[0]
    np.testing.assert_allclose(got.astype(int), picture.astype(int), atol=1)


def test_transparent_pictures_are_put_on_white(tmp_path) -> None:
    picture = np.zeros((96, 160, 4), dtype=np.uint8)
    picture[..., 0] = 200  # blue in BGRA
    picture[:, :80, 3] = 255
    path = write_pictures(tmp_path / "alpha.mkv", [picture] * 3, "ffv1", "bgra")
    reader = open_video(path)
    assert any("transparent" in text for text in reader.info.warnings)
    got = reader.get_frames_at([0.0]).pixels[0]
    assert got[48, 40].tolist() == [0, 0, 200]
    assert got[48, 120].tolist() == [255, 255, 255]


def test_interlaced_is_named(clips: Clips) -> None:
    info = open_video(clips.get("mpeg2_interlaced").path).info
    assert any(text.startswith("interlaced") for text in info.warnings)
    assert not open_video(clips.get("mpeg2_ts").path).info.warnings


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_shrinking_is_antialiased(tmp_path, decoder) -> None:
    """One-pixel stripes become an even grey; a sampler without a filter would keep them."""
    stripes = np.full((144, 160), 128, dtype=np.uint8)
    stripes[:96] = np.where(np.arange(160) % 2, 235, 16)
    path = write_pictures(tmp_path / "s.mp4", [stripes] * 3, options=LOSSLESS)
    reader = open_video(path, DecodingConfig(decoder=decoder))
    small = reader.get_frames_at([0.0], short_side=24).pixels[0]
    assert small.shape == (24, 40, 3)
    inner = small[4:-4, 4:-4].astype(float)
    assert abs(inner.mean() - 127) < 4
    assert inner.std() < 6


def test_both_decoders_shrink_alike(clips: Clips) -> None:
    path = clips.get("h264_mp4").path
    one, other = (
        open_video(path, DecodingConfig(decoder=name)).get_frames_at([1.0], short_side=48)
        for name in ("pyav", "decord")
    )
    difference = np.abs(one.pixels.astype(int) - other.pixels.astype(int))
    assert difference.mean() < 3
