"""The frozen part of the image tower: padding, shards, views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from videomm.training.features import (
    EVAL_VIEW,
    VIEWS,
    ViewDataset,
    build_backbone,
    cache_shards,
    fused_stem,
    load_shards,
    run_stem,
    run_trunk,
)
from videomm.training.image_data import ImageArchive, load_split

from .conftest import needs_data


def test_mirrored_kernels_make_symmetric_padding_exact_from_left_to_right() -> None:
    torch.manual_seed(0)
    image, kernel = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
    original = torch.nn.functional.pad(image.flip(-1), (0, 1, 1, 0))  # SAME across, timm's down
    expected = torch.nn.functional.conv2d(original, kernel, stride=2).flip(-1)
    given = torch.nn.functional.conv2d(image, kernel.flip(-1), stride=2, padding=1)
    assert torch.allclose(given, expected, atol=1e-5)


class Numbers(Dataset[Tensor]):
    """Row n is an image full of n."""

    def __len__(self) -> int:
        return 1100

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((1, 1, 1), float(index))


def test_shards_are_shared_kept_and_complete(tmp_path: Path) -> None:
    rows, calls = Numbers(), 0

    def model(batch: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return batch.flatten(1)

    cache_shards(model, rows, tmp_path, 0, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="holds 588 of 1100 rows"):
        load_shards(tmp_path, len(rows))
    cache_shards(model, rows, tmp_path, 1, 2)  # type: ignore[arg-type]
    assert load_shards(tmp_path, len(rows))[:, 0].tolist() == list(range(1100))
    before = calls
    cache_shards(model, rows, tmp_path, 0, 1)  # type: ignore[arg-type]
    assert calls == before


@needs_data
def test_views_are_seeded_by_row_and_the_backbone_keeps_its_classes(data: Path) -> None:
    rows = load_split(data, "train", ("imagenet_samples",))[::200]
    archive = ImageArchive(data)
    first, again = (ViewDataset(archive, rows, VIEWS[-1], 0)[2] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, ViewDataset(archive, rows, VIEWS[-1], 1)[2])
    images = torch.stack([ViewDataset(archive, rows, EVAL_VIEW, 0)[i] for i in range(len(rows))])
    assert images.shape == (5, 3, 224, 224)
    assert images.abs().max() <= 1
    ours, original = build_backbone(data), build_backbone(data, original=True)
    with torch.no_grad():
        maps = run_stem(ours, images)
        assert torch.allclose(fused_stem(ours)(images), maps, atol=1e-3)
        features = run_trunk(ours, maps)
        assert torch.allclose(features, ours(images), atol=1e-3)
        logits = original.classifier(features)  # type: ignore[operator]
        agree = logits.argmax(1) == original(images).argmax(1)
    assert maps.shape[1:] == (96, 14, 14)
    assert np.mean(agree.numpy()) >= 0.6
