"""What the image tower sees at each place of pictures, kept on disk, in several views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

from videomm.encoder import FrameEncoder
from videomm.training.image_data import ImageArchive, ImageRow
from videomm.training.shards import cached_shards
from videomm.types import Array

BICUBIC = transforms.InterpolationMode.BICUBIC
SHARD = 512  # pictures a file
BATCH = 8  # few pictures at a time stay nearer to the processor

Places = npt.NDArray[np.float16]


def view_of(picture: Image.Image, view: int, row: int, size: tuple[int, int]) -> Image.Image:
    """A view of a picture: 0 is all of it, 1 its mirror image, each further one a random crop.

    Args:
        picture: RGB.
        view: which one; depends on nothing but `view` and `row`.
        row: the picture's number.
        size: (height, width) of the result.
    """
    if view >= 2:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1_000_003 * view + row)
            crop = transforms.RandomResizedCrop(size, scale=(0.5, 1.0), interpolation=BICUBIC)
            cut: Image.Image = transforms.RandomHorizontalFlip()(crop(picture))
        return cut
    whole: Image.Image = functional.resize(picture, list(size), BICUBIC)
    return whole if view == 0 else functional.hflip(whole)


def cache_spatial(
    encoder: FrameEncoder, archive: ImageArchive, rows: list[ImageRow], view: int, folder: Path
) -> Places:
    """`FrameEncoder.encode_spatial` of one view of pictures.

    Shards of 512 are kept on disk, apart for each encoder, so a killed run goes on.

    Args:
        encoder: Gives the places.
        archive: Holds the pictures.
        rows: Which ones.
        view: See `view_of`.
        folder: Where the shards go.

    Returns:
        float16 (N, P, C).
    """
    split = rows[0].split
    name = f"{split}_{len(rows)}_view{view}_{{:06d}}.npy"

    def look(numbers: range) -> Array:
        pixels = [
            np.asarray(view_of(archive.read(rows[i]), view, i, encoder.image_size)) for i in numbers
        ]
        return encoder.encode_spatial(np.stack(pixels), BATCH)

    path = folder / encoder.fingerprint / name
    return cached_shards("spatial", len(rows), SHARD, path, look, split=split, view=view)
