"""Pictures as a model wants them, on batches of tensors, as open_clip does it on PIL pictures."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from videomm.errors import InvalidInputError

Size = tuple[int, int]  # height, width

_PIL_MODES = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class Preprocessing:
    """Resize with antialias, clamp, round to uint8, crop or pad, scale to [0, 1], normalise.

    Equal to `open_clip.image_transform_v2` for evaluation.

    Args:
        config: open_clip's `preprocess_cfg`: `size`, `mean`, `std`, `interpolation`,
            `resize_mode` and `fill_color`.

    Attributes:
        size: (height, width) that the image tower takes.

    Raises:
        InvalidInputError: a setting that open_clip does not have.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.size: Size = _pair(config["size"])
        self._mode, self._fill = config["resize_mode"], config["fill_color"]
        # open_clip takes "random" for training alone, and in one case forgets the other modes.
        forgets = self._mode == "shortest" and self.size[0] != self.size[1]
        given = config["interpolation"]
        self._interpolation = "bicubic" if forgets or given == "random" else given
        if self._mode not in ("shortest", "longest", "squash"):
            raise InvalidInputError(
                f"resize_mode must be shortest, longest or squash, got {self._mode!r}"
            )
        if self._interpolation not in _PIL_MODES:
            raise InvalidInputError(f"interpolation must be bicubic or bilinear, got {given!r}")
        self._mean, self._std = _channels(config["mean"]), _channels(config["std"])

    def __call__(self, images: Tensor) -> Tensor:
        """Images uint8 (N, 3, H, W) to float32 (N, 3, height, width), on their device."""
        small = resize(images, self._resized(_size(images)), self._interpolation)
        if self._mode != "squash":
            small = _crop_or_pad(small, self.size, self._fill)
        mean, std = (values.to(images.device) for values in (self._mean, self._std))
        return small.float().div_(255.0).sub_(mean).div_(std)

    def to_dict(self) -> dict[str, Any]:
        """The settings as they are carried out, in the words of open_clip's `preprocess_cfg`."""
        return {
            "size": list(self.size),
            "mode": "RGB",
            "mean": self._mean.flatten().tolist(),
            "std": self._std.flatten().tolist(),
            "interpolation": self._interpolation,
            "resize_mode": self._mode,
            "fill_color": self._fill,
        }

    def _resized(self, have: Size) -> Size:
        """What images of a size are resized to, before they are cropped or padded."""
        if self._mode == "squash":
            return self.size
        if self._mode == "shortest" and self.size[0] == self.size[1]:
            short = self.size[0]
            # As torchvision: the longer side is cut off, not rounded.
            if have[0] <= have[1]:
                return short, int(short * have[1] / have[0])
            return int(short * have[0] / have[1]), short
        ratios = [one / want for one, want in zip(have, self.size, strict=True)]
        ratio = max(ratios) if self._mode == "longest" else min(ratios)
        return round(have[0] / ratio), round(have[1] / ratio)


def resize(images: Tensor, size: Size, interpolation: str) -> Tensor:
    """Images uint8 (N, 3, H, W) to another size, to the values that Pillow gives.

    Args:
        images: on any device.
        size: height and width.
        interpolation: `bicubic` or `bilinear`, with antialias.
    """
    have = _size(images)
    if have == size:
        return images
    if _pillow_goes_down_first(have, size, interpolation):
        images = _interpolate(images, (size[0], have[1]), interpolation)
    return _interpolate(images, size, interpolation)


def _interpolate(images: Tensor, size: Size, interpolation: str) -> Tensor:
    # On a CPU torch works on uint8 as Pillow does: with antialias, clamped and rounded.
    exact = images if images.device.type == "cpu" else images.float()
    small = F.interpolate(exact, size, mode=interpolation, align_corners=False, antialias=True)
    return small if small.dtype == torch.uint8 else small.clamp_(0, 255).round_().byte()


@lru_cache(maxsize=256)
def _pillow_goes_down_first(have: Size, size: Size, interpolation: str) -> bool:
    """Whether Pillow resizes columns before rows here: it rounds in between, so the order shows.

    Versions of Pillow differ in when they do, so it is asked with a picture of that shape.
    """
    if have[0] == size[0] or have[1] == size[1]:
        return False
    noise = torch.randint(256, (1, 3, *have), dtype=torch.uint8, generator=torch.Generator())
    picture = Image.fromarray(noise[0].permute(1, 2, 0).numpy())
    expected = np.array(picture.resize(size[::-1], _PIL_MODES[interpolation]))
    across_first = _interpolate(noise, size, interpolation)
    halfway = _interpolate(noise, (size[0], have[1]), interpolation)
    down_first = _interpolate(halfway, size, interpolation)
    wrong = [
        int((found[0].permute(1, 2, 0).numpy() != expected).sum())
        for found in (across_first, down_first)
    ]
    return wrong[1] < wrong[0]


def _crop_or_pad(images: Tensor, size: Size, fill: int) -> Tensor:
    """The middle of images, with `fill` around those that are smaller."""
    over = [have - want for have, want in zip(_size(images), size, strict=True)]
    down, across = (max(0, -each) for each in over)
    if down or across:
        borders = (across // 2, across - across // 2, down // 2, down - down // 2)
        images = F.pad(images, borders, value=fill)
    top, left = (round(max(0, each) / 2) for each in over)
    return images[..., top : top + size[0], left : left + size[1]]


def _size(images: Tensor) -> Size:
    return images.shape[-2], images.shape[-1]


def _pair(size: Any) -> Size:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _channels(values: Any) -> Tensor:
    three = [values] * 3 if isinstance(values, (int, float)) else list(values)
    return torch.tensor(three).view(3, 1, 1)
