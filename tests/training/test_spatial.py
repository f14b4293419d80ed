"""Views of pictures and what a tower sees in them, on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videomm.training import spatial
from videomm.training.image_data import ImageRow
from videomm.training.spatial import cache_spatial, view_of
from videomm.training.views import RESIZE_MODE

from .test_views import Noise

ROWS = [ImageRow("flickr8k", str(number), "train") for number in range(5)]


class Corners:
    """An encoder whose places are four pixels."""

    fingerprint, image_size = "f", (16, 24)
    calls = 0

    def encode_spatial(self, pixels: np.ndarray, batch_size: int) -> np.ndarray:
        self.calls += 1
        return pixels[:, ::15, ::23].reshape(len(pixels), 4, 3).astype(np.float32)


def test_views_are_all_of_a_picture_its_mirror_image_and_crops() -> None:
    picture = Noise().read(ROWS[0])
    whole, mirrored, crop, other = (view_of(picture, view, 0, (16, 24)) for view in range(4))
    assert RESIZE_MODE == "squash"
    resized = picture.resize((24, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(whole), np.asarray(resized))
    assert np.array_equal(np.asarray(mirrored), np.asarray(whole)[:, ::-1])
    assert crop.size == (24, 16)
    assert not np.array_equal(np.asarray(crop), np.asarray(other))
    assert np.array_equal(np.asarray(crop), np.asarray(view_of(picture, 2, 0, (16, 24))))


def test_places_are_kept_in_shards_and_a_second_call_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spatial, "SHARD", 2)
    encoder = Corners()
    places = cache_spatial(encoder, Noise(), ROWS, 1, tmp_path)  # type: ignore[arg-type]
    assert (places.shape, places.dtype, encoder.calls) == ((5, 4, 3), np.float16, 3)
    last = np.asarray(view_of(Noise().read(ROWS[4]), 1, 4, (16, 24)))
    assert np.array_equal(places[4, 0], last[0, 0].astype(np.float16))
    again = cache_spatial(encoder, Noise(), ROWS, 1, tmp_path)  # type: ignore[arg-type]
    assert np.array_equal(again, places)
    assert encoder.calls == 3
    cache_spatial(encoder, Noise(), ROWS, 0, tmp_path)  # type: ignore[arg-type]
    assert encoder.calls == 6
