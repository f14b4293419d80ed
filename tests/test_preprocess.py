"""Preprocessing on tensors: what open_clip's own transform gives from PIL pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from videomm.errors import InvalidInputError
from videomm.preprocess import Preprocessing, resize

SETTINGS: dict[str, Any] = {
    "size": 32,
    "mode": "RGB",
    "mean": (0.4, 0.5, 0.6),
    "std": (0.2, 0.3, 0.4),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
SHAPES = [(48, 64), (90, 40), (32, 32), (20, 27), (33, 101)]


def picture(shape: tuple[int, int]) -> np.ndarray:
    """Smooth, with an edge and fine texture."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    base = 127 + 100 * np.sin(x[..., None] / (9, 5, 7)) * np.cos(y[..., None] / (6, 8, 4))
    base[: shape[0] // 2, : shape[1] // 3] = (250, 5, 60)
    noise = np.random.default_rng(0).normal(0, 15, (*shape, 3))
    return np.clip(base + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [32, (32, 32), (24, 40), (40, 24)], ids=str)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
def test_every_setting_gives_what_open_clip_gives(
    mode: str, size: int | tuple[int, int], interpolation: str
) -> None:
    settings = {"resize_mode": mode, "size": size, "interpolation": interpolation}
    config = SETTINGS | settings | {"fill_color": 7}
    ours = Preprocessing(config)
    theirs = image_transform_v2(PreprocessCfg(**config), is_train=False)
    for shape in SHAPES:
        pixels = picture(shape)
        given = ours(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        expected = theirs(Image.fromarray(pixels))[None]
        assert given.dtype == torch.float32
        assert given.shape == expected.shape == (1, 3, *ours.size)
        levels = (given - expected).abs() * torch.tensor(SETTINGS["std"]).view(3, 1, 1) * 255
        assert levels.max() < 2.01  # both round twice, now and then to neighbours
        assert (levels > 0.5).float().mean() < 0.1


def test_resizing_in_floats_as_other_devices_do_is_clamped_and_rounded() -> None:
    images = torch.from_numpy(picture((48, 64))).permute(2, 0, 1)[None]
    expected = resize(images, (32, 32), "bicubic")
    given = resize(images.float(), (32, 32), "bicubic")
    assert given.dtype == expected.dtype == torch.uint8
    apart = (given.float() - expected.float()).abs()
    assert apart.max() <= 4  # what the other does not round and clamp halfway
    assert apart.mean() < 0.3


def test_one_number_stands_for_three_channels() -> None:
    images = torch.full((2, 3, 32, 32), 255, dtype=torch.uint8)
    given = Preprocessing(SETTINGS | {"mean": 0.5, "std": 0.5})(images)
    assert torch.equal(given, torch.ones(2, 3, 32, 32))


def test_unknown_settings_say_what_is_allowed() -> None:
    with pytest.raises(InvalidInputError, match="shortest, longest or squash, got 'stretch'"):
        Preprocessing(SETTINGS | {"resize_mode": "stretch"})
    with pytest.raises(InvalidInputError, match="bicubic or bilinear, got 'nearest'"):
        Preprocessing(SETTINGS | {"interpolation": "nearest"})
