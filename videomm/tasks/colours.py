"""Which colours stand out in pictures, by their pixels.

An image encoder knows little of colours: "a green toy" and "a pink toy" score alike. So the pixels
are asked, too: a colour that the middle of a picture has more of than its border is likely the
colour of what is shown. `benchmarks/answers.py --calibrate` prints what that is worth on pictures
whose captions name a colour.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from videomm.types import Array

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
)  # fmt: skip
_SIDE = 48
# Shares under this count as none: a few pixels of a colour are everywhere.
_LEAST_SHARE = 0.02


def name_pixels(pixels: Array) -> Array:
    """The colour of each pixel as a person would name it.

    Args:
        pixels: uint8 (..., 3) RGB, two dimensions or more.

    Returns:
        int (...): places in `COLOURS`.
    """
    rgb = pixels.astype(np.float32) / 255
    value, low = rgb.max(-1), rgb.min(-1)
    chroma = value - low
    saturation = chroma / np.maximum(value, 1e-6)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    safe = np.maximum(chroma, 1e-6)
    hue = np.where(
        value == red,
        ((green - blue) / safe) % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    degrees = 60 * hue
    bounds = (15, 42, 70, 165, 255, 295, 340, 360.1)
    names = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "red")
    places = np.array([COLOURS.index(name) for name in names])
    named = places[np.searchsorted(bounds, degrees, side="right")]

    def put(name: str, where: Array) -> None:
        named[where] = COLOURS.index(name)

    warm = (degrees < 50) | (degrees >= 350)
    # Dark or dull orange is brown; pale red is pink.
    put("brown", warm & (degrees >= 10) & (degrees < 50) & ((value < 0.65) | (saturation < 0.5)))
    put("brown", warm & (value < 0.4))
    put("pink", ((degrees < 12) | (degrees >= 335)) & (saturation < 0.6) & (value > 0.6))
    put("purple", (degrees >= 295) & (degrees < 335) & (value < 0.65))
    plain = saturation < 0.16
    put("grey", plain)
    put("white", plain & (value > 0.78))
    put("black", value < 0.18)
    return named


def standing_out(thumbnails: Sequence[bytes]) -> Array:
    """How much more of each colour is in the middle of pictures than at their border.

    Args:
        thumbnails: JPEG files; at least one.

    Returns:
        float (11,): in the order of `COLOURS`, the logarithm of the ratio of both shares.
    """
    across = np.abs(np.linspace(-1, 1, _SIDE))
    reach = np.maximum(across[:, None], across[None])
    middle, border = reach < 0.6, reach > 0.75
    shares = np.zeros((2, len(COLOURS)))
    for data in thumbnails:
        with Image.open(io.BytesIO(data)) as picture:
            small = picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        named = name_pixels(np.asarray(small))
        for row, part in enumerate((middle, border)):
            shares[row] += np.bincount(named[part], minlength=len(COLOURS)) / part.sum()
    shares /= len(thumbnails)
    return np.log((shares[0] + _LEAST_SHARE) / (shares[1] + _LEAST_SHARE))
