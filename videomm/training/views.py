"""Views of pictures: what the tower is measured on, and the random crops it learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

# Larger than the crops that are learned from: things look larger in a crop than in its picture
# (Touvron et al., 2019, https://arxiv.org/abs/1906.06423). On validation better than 224.
IMAGE_SIZE = 256
MEAN = STD = (0.5, 0.5, 0.5)  # pixels in [-1, 1]
# All of a picture is seen, if a little squeezed: half of a wide frame is lost to a middle square.
RESIZE_MODE = "squash"
# Width to height of random crops: most pictures are 4:3 or 3:4, videos are 16:9 or 9:16.
ASPECTS = (0.5, 2.0)

Transform = Callable[[Image.Image], Tensor]


class Archive(Protocol):
    """Where pictures come from, such as `ImageArchive`."""

    def read(self, row: Any) -> Image.Image:
        """Decode one row's picture as RGB."""


def eval_transform() -> Transform:
    """open_clip's own inference transform, as the exported folder asks for it."""
    cfg = PreprocessCfg(
        size=IMAGE_SIZE, mean=MEAN, std=STD, interpolation="bicubic", resize_mode=RESIZE_MODE
    )
    return cast(Transform, image_transform_v2(cfg, is_train=False))


def random_transform(
    size: int, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> Transform:
    """A random crop with changed colours: RGB image to float32 (3, size, size), normalised."""
    bicubic = transforms.InterpolationMode.BICUBIC
    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size, scale=(0.35, 1.0), ratio=ASPECTS, interpolation=bicubic
            ),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.3, 0.3, 0.3, 0.03)], p=0.7),
            transforms.RandomGrayscale(p=0.15),  # old films are grey
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    return cast(Transform, augment)


class Pictures(Dataset[Tensor]):
    """Whole pictures, through one transform.

    Args:
        archive: Holds the pictures.
        rows: Which ones.
        transform: From picture to tensor; by default what the tower is measured on.
    """

    def __init__(
        self, archive: Archive, rows: Sequence[Any], transform: Transform | None = None
    ) -> None:
        self._archive, self._rows = archive, rows
        self._transform = transform or eval_transform()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Tensor:
        return self._transform(self._archive.read(self._rows[index]))


class RandomCrops(Dataset[Tensor]):
    """Random crops that are new at every step, asked for by (row, seed).

    A crop depends on row and seed alone, not on the worker that draws it.

    Args:
        archive: Holds the pictures.
        rows: Which ones.
        size: Side of the crops.
        mean: Of the normalisation, a channel each.
        std: Of the normalisation.
    """

    def __init__(
        self,
        archive: Archive,
        rows: Sequence[Any],
        size: int,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        self._archive, self._rows = archive, rows
        self._transform = random_transform(size, mean, std)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: tuple[int, int]) -> Tensor:
        row, seed = key
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._transform(self._archive.read(self._rows[row]))


def load_pictures(pictures: Pictures) -> Tensor:
    """All of them as one float16 tensor (N, 3, H, W)."""
    return torch.cat([batch.half() for batch in DataLoader(pictures, batch_size=64)])
