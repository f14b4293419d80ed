"""The frozen part of the image tower, run once: cached feature maps of several views.

MobileNetV2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381) as Google trained it pads
``SAME``: on an even side the stride-2 convolutions look one pixel further right and down. timm's
default padding is symmetric, which shifts the sampling grid (31 pixels over five such layers) and
changes the borders: on 200 training pictures the cross-entropy rises from 0.83 to 1.22, and only
to 0.97 with mirrored kernels (see `build_backbone`). In the given checkpoint batch norm is
folded into the convolutions (means 0, variances 1), so its statistics must not be measured again:
that would undo the folding.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import timm
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms

from videomm.training.image_data import ImageArchive, ImageRow
from videomm.training.progress import keep_freed_memory, report

BACKBONE = "mobilenetv2_100"
BACKBONE_FILE = "weights/mobilenetv2_google_fp32.safetensors"
BACKBONE_CLASSES = 1001  # class 0 is "background"
IMAGE_SIZE = 224
MEAN = STD = (0.5, 0.5, 0.5)  # the backbone's x / 127.5 - 1, in open_clip's terms
TAIL_BLOCK = 5  # blocks before this one are frozen and cached; this one on is trained
# All of a picture is seen, if a little squeezed: half of a wide frame is lost to a middle square.
RESIZE_MODE = "squash"
EVAL_VIEW = "squash"  # what the folder's preprocessing gives
VIEWS = ("crop", EVAL_VIEW, *(f"random{number}" for number in range(1, 7)))
SHARD = 512  # rows a file
BATCH = 8  # images that stay near the processor between layers; 32 are a tenth slower
SEED = 0

Transform = Callable[[Image.Image], Tensor]


def eval_transform(resize_mode: str = RESIZE_MODE) -> Transform:
    """open_clip's own inference transform, as the exported folder asks for it."""
    cfg = PreprocessCfg(
        size=IMAGE_SIZE, mean=MEAN, std=STD, interpolation="bicubic", resize_mode=resize_mode
    )
    return cast(Transform, image_transform_v2(cfg, is_train=False))


def view_transform(view: str, size: int = IMAGE_SIZE) -> Transform:
    """The transform of a view: RGB image to float32 (3, 224, 224) in [-1, 1].

    Args:
        view: One of `VIEWS`.
        size: Another side for a random view.
    """
    if view == "crop":
        return eval_transform("shortest")
    if view == "squash":
        return eval_transform("squash")
    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size, scale=(0.35, 1.0), interpolation=transforms.InterpolationMode.BICUBIC
            ),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.3, 0.3, 0.3, 0.03)], p=0.7),
            transforms.RandomGrayscale(p=0.15),  # old films are grey
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    return cast(Transform, augment)


def seeded_view(transform: Transform, picture: Image.Image, seed: int) -> Tensor:
    """A view that depends on the seed alone; other random numbers go on as if it was not drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transform(picture)


class ViewDataset(Dataset[Tensor]):
    """Views of images; a random view depends on seed and row only, not on the worker."""

    def __init__(self, archive: ImageArchive, rows: list[ImageRow], view: str, seed: int) -> None:
        self._archive, self._rows = archive, rows
        self._transform = view_transform(view)
        self._seed = seed * 1_000_003 + VIEWS.index(view) * 10_007

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Tensor:
        picture = self._archive.read(self._rows[index])
        return seeded_view(self._transform, picture, self._seed + index)


class RandomCrops(Dataset[Tensor]):
    """Random views that are new at every step, asked for by (row, seed).

    Args:
        archive: Holds the images.
        rows: Which images.
        size: Side of the crops.
    """

    def __init__(self, archive: ImageArchive, rows: list[ImageRow], size: int) -> None:
        self._archive, self._rows = archive, rows
        self._transform = view_transform("random1", size)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: tuple[int, int]) -> Tensor:
        row, seed = key
        return seeded_view(self._transform, self._archive.read(self._rows[row]), seed)


def iterate_views(dataset: Dataset[Tensor], batch_size: int, workers: int = 0) -> Iterator[Tensor]:
    """Batches (B, 3, 224, 224) in channels-last order, rows in order."""
    for batch in DataLoader(dataset, batch_size=batch_size, num_workers=workers):
        yield batch.contiguous(memory_format=torch.channels_last)


def build_backbone(data: Path, *, original: bool = False) -> nn.Module:
    """MobileNetV2 with Google's weights.

    Args:
        data: The data folder.
        original: With Google's padding and its 1,001-way classifier; otherwise with timm's
            default padding and no classifier, as open_clip builds it.

    Returns:
        The model in eval mode.
    """
    state = load_file(data / BACKBONE_FILE)
    # Google's weights see the zeros of a stride-2 layer on the right and below, timm's padding puts
    # them on the left and above. Mirrored kernels make the left-right half of that exact: the tower
    # then sees every picture as the original sees its mirror image.
    if original:
        model = timm.create_model(BACKBONE, num_classes=BACKBONE_CLASSES, pad_type="same")
    else:
        model = timm.create_model(BACKBONE, num_classes=0)
        state = {
            name: value.flip(-1) if value.ndim == 4 else value
            for name, value in state.items()
            if "classifier" not in name
        }
    model.load_state_dict(state)
    return model.eval().to(memory_format=torch.channels_last)


def run_stem(trunk: nn.Module, images: Tensor) -> Tensor:
    """The frozen part: images (B, 3, 224, 224) to feature maps (B, 96, 14, 14)."""
    hidden = trunk.bn1(trunk.conv_stem(images))  # type: ignore[operator]
    for block in list(trunk.blocks)[:TAIL_BLOCK]:  # type: ignore[arg-type]
        hidden = block(hidden)
    return cast(Tensor, hidden)


def fused_stem(trunk: nn.Module) -> Callable[[Tensor], Tensor]:
    """`run_stem` with batch norm and activations in the convolutions: 1.6 times as fast."""
    example = torch.zeros(8, 3, IMAGE_SIZE, IMAGE_SIZE).contiguous(
        memory_format=torch.channels_last
    )

    class Stem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = trunk

        def forward(self, images: Tensor) -> Tensor:
            return run_stem(self.trunk, images)

    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(Stem().eval(), example))
        return cast(Callable[[Tensor], Tensor], torch.jit.optimize_for_inference(traced))


def tail_parts(trunk: nn.Module) -> list[nn.Module]:
    """The trained layers in order: the last blocks, then the last convolution and its norm."""
    blocks = list(cast(nn.Sequential, trunk.blocks))[TAIL_BLOCK:]
    return [*blocks, cast(nn.Module, trunk.conv_head), cast(nn.Module, trunk.bn2)]


def run_trunk(trunk: Any, inputs: Tensor) -> Tensor:
    """The whole trunk on images (B, 3, H, W), or its tail on cached maps (B, 96, 14, 14).

    Batch norm with fixed statistics is a gain and a bias, which go into the convolution: training
    is a sixth faster on a CPU than with layers of their own.

    Returns:
        Pooled features (B, 1280).
    """

    def layer(hidden: Tensor, conv: nn.Conv2d, norm: Any, *, active: bool) -> Tensor:
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = conv.weight * gain.view(-1, 1, 1, 1)
        bias = norm.bias - norm.running_mean * gain
        output = F.conv2d(hidden, weight, bias, conv.stride, conv.padding, 1, conv.groups)
        return F.relu6(output) if active else output

    hidden, stages = inputs, list(trunk.blocks)[TAIL_BLOCK:]
    if inputs.shape[1] == 3:
        hidden, stages = layer(inputs, trunk.conv_stem, trunk.bn1, active=True), trunk.blocks
    for block in (block for stage in stages for block in stage):
        if hasattr(block, "conv_pwl"):
            wide = layer(hidden, block.conv_pw, block.bn1, active=True)
            wide = layer(wide, block.conv_dw, block.bn2, active=True)
            narrow = layer(wide, block.conv_pwl, block.bn3, active=False)
        else:  # the first block does not widen
            wide = layer(hidden, block.conv_dw, block.bn1, active=True)
            narrow = layer(wide, block.conv_pw, block.bn2, active=False)
        hidden = narrow + hidden if block.has_skip else narrow
    return layer(hidden, trunk.conv_head, trunk.bn2, active=True).mean((2, 3))


@torch.no_grad()
def cache_shards(
    model: Callable[[Tensor], Tensor], dataset: ViewDataset, folder: Path, part: int, parts: int
) -> None:
    """Run a model over one part of a data set; each 512 rows become one float16 ``.npy``.

    A shard that is there is complete and is kept: it is renamed into place at the end.

    Args:
        model: Images (B, 3, 224, 224) to outputs.
        dataset: All rows.
        folder: Where the shards go.
        part: This process's number; it takes every ``parts``-th shard.
        parts: How many processes share the work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(part * SHARD, len(dataset), parts * SHARD):
        path = folder / f"{start:06d}.npy"
        if path.exists():
            continue
        rows = Subset(dataset, range(start, min(start + SHARD, len(dataset))))
        outputs = [model(batch).half().numpy() for batch in iterate_views(rows, BATCH)]
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, np.concatenate(outputs))
        unfinished.replace(path)
        report("features", view=folder.name, done=start + len(rows), of=len(dataset))


def load_shards(folder: Path, rows: int) -> npt.NDArray[np.float16]:
    """The shards of a view as one array, all rows in order.

    Raises:
        ValueError: If shards are missing.
    """
    paths = sorted(path for path in folder.glob("*.npy") if ".part" not in path.name)
    shards = [np.load(path) for path in paths]
    found = sum(len(shard) for shard in shards)
    if found != rows:
        raise ValueError(f"{folder} holds {found} of {rows} rows: run the features stage again")
    return np.concatenate(shards)


def cache_part(
    data: Path, work: Path, train: list[ImageRow], val: list[ImageRow], part: tuple[int, int]
) -> None:
    """One process's part of `cache_features`: on one thread, as threads wait for each other."""
    torch.set_num_threads(1)
    keep_freed_memory()
    archive, folder = ImageArchive(data), work / "features"
    stem = fused_stem(build_backbone(data))
    for view in VIEWS:
        for split, rows in (("val", val), ("train", train)):
            if split == "val" and view != EVAL_VIEW:
                continue
            dataset = ViewDataset(archive, rows, view, SEED)
            cache_shards(stem, dataset, folder / f"{split}_{view}", *part)


def cache_features(
    data: Path, work: Path, train: list[ImageRow], val: list[ImageRow], *, processes: int
) -> None:
    """Cache feature maps of every view under ``work/features/{train,val}_VIEW``.

    Args:
        data: The data folder.
        work: The work folder.
        train: Training rows.
        val: Validation rows.
        processes: How many processes share the work.
    """
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=cache_part, args=(data, work, train, val, (part, processes)))
        for part in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a feature process failed; its own error is above")
