"""Views of pictures: a crop depends on row and seed alone."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from videomm.training.image_data import ImageRow
from videomm.training.views import (
    IMAGE_SIZE,
    Pictures,
    RandomCrops,
    eval_transform,
    load_pictures,
)

ROWS = [ImageRow("flickr8k", str(number), "train") for number in range(6)]


class Noise:
    """An archive of pictures that are noise of their own."""

    def read(self, row: ImageRow) -> Image.Image:
        pixels = np.random.default_rng(int(row.file)).integers(0, 256, (48, 64, 3))
        return Image.fromarray(pixels.astype(np.uint8))


def test_crops_are_the_same_in_any_worker_and_new_for_another_seed() -> None:
    crops = RandomCrops(Noise(), ROWS, 32)  # type: ignore[arg-type]
    keys = [[(0, 7), (3, 8)], [(3, 8), (3, 9)]]
    first, second = DataLoader(crops, batch_sampler=keys, num_workers=1)
    assert first.shape == (2, 3, 32, 32)
    assert torch.equal(first[0], crops[0, 7])
    assert torch.equal(first[1], second[0])
    assert not torch.equal(second[0], second[1])


def test_drawing_a_crop_leaves_other_random_numbers_alone() -> None:
    crops = RandomCrops(Noise(), ROWS, 32)  # type: ignore[arg-type]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    crops[1, 5]
    assert torch.equal(torch.rand(2), expected)


def test_whole_pictures_are_squeezed_in_order() -> None:
    images = load_pictures(Pictures(Noise(), ROWS))  # type: ignore[arg-type]
    assert images.shape == (6, 3, IMAGE_SIZE, IMAGE_SIZE)
    assert images.dtype == torch.float16
    assert torch.equal(images[4], eval_transform()(Noise().read(ROWS[4])).half())
    assert images.abs().max() <= 1
