"""The image tower: timm's network, fused where it can be, the same everywhere."""

from __future__ import annotations

import logging

import pytest
import timm
import torch
from torch import Tensor, nn

from videomm.towers.image import CHUNK, EfficientNetLite0, LiteTower, fold_trunk, run_trunk


def randomise(trunk: nn.Module) -> nn.Module:
    """Batch norm with statistics as after training."""
    for name, value in trunk.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            value.normal_()
    return trunk.eval()


def timm_trunk() -> nn.Module:
    return randomise(timm.create_model("efficientnet_lite0", num_classes=0))


def tower_of(trunk: nn.Module) -> LiteTower:
    tower = LiteTower(8).eval()
    tower.trunk.load_state_dict(trunk.state_dict())
    tower.freeze()
    return tower


def expect(tower: LiteTower, trunk: nn.Module, images: Tensor) -> None:
    with torch.inference_mode():
        expected = tower.head(trunk(images))
        torch.testing.assert_close(tower(images), expected, atol=1e-4, rtol=1e-3)


def test_the_modules_are_timms() -> None:
    def shapes(trunk: nn.Module) -> dict[str, torch.Size]:
        return {name: value.shape for name, value in trunk.state_dict().items()}

    assert shapes(EfficientNetLite0()) == shapes(
        timm.create_model("efficientnet_lite0", num_classes=0)
    )


def test_the_trunk_gives_what_timms_gives_and_the_same_gradients() -> None:
    trunk, images = timm_trunk(), torch.randn(2, 3, 64, 64)
    gradients = []
    for features in (trunk(images), run_trunk(fold_trunk(trunk), images)):
        assert features.shape == (2, 1280)
        trunk.zero_grad()
        features.square().mean().backward()
        gradients.append([features.detach(), *(p.grad.clone() for p in trunk.parameters())])
    for given, expected in zip(*gradients, strict=True):
        assert torch.allclose(given, expected, atol=1e-4 * float(expected.abs().max()) + 1e-7)


@pytest.mark.parametrize("batch", [1, CHUNK, 2 * CHUNK + 1])
def test_the_frozen_tower_gives_what_timm_gives_whatever_the_batch(batch: int) -> None:
    trunk = timm_trunk()
    expect(tower_of(trunk), trunk, torch.randn(batch, 3, 64, 64))


def test_without_the_fused_operator_outputs_stay_and_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object) -> None:
        raise NotImplementedError("no mkldnn::_convolution_pointwise here")

    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", missing)
    trunk = timm_trunk()
    with caplog.at_level(logging.INFO, "videomm"):
        tower = tower_of(trunk)
    assert not tower.fused
    assert "torch's are slower: no mkldnn::_convolution_pointwise here" in caplog.text
    expect(tower, trunk, torch.randn(CHUNK + 1, 3, 64, 64))


def test_the_fused_operator_runs_where_torch_has_onednn() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    assert tower_of(timm_trunk()).fused


def test_other_devices_take_torchs_operators_and_the_whole_batch() -> None:
    tower = LiteTower(8).eval().to("meta")
    tower.freeze()
    assert not tower.fused
    output = tower(torch.empty(9, 3, 64, 64, device="meta"))
    assert output.shape == (9, 8)
    assert output.device.type == "meta"
