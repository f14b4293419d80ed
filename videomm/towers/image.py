"""The image tower: EfficientNet-Lite0 and an MLP, quick on a CPU.

EfficientNet-Lite (Google, 2020; EfficientNet, Tan and Le, 2019, https://arxiv.org/abs/1905.11946)
as timm's `efficientnet_lite0` builds it: no squeeze-and-excitation, ReLU6, symmetric padding. The
modules hold weights under timm's names; the arithmetic is `run_trunk`'s, for timm's own modules in
training as well.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Blocks, kernel, stride of the first block, widening, channels (Tan and Le, table 1).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, FEATURES = 32, 1280
CHUNK = 4  # images whose layers stay near a processor; 8 are a quarter slower an image, 1 as well

logger = logging.getLogger("videomm")

Steps = Sequence[tuple[Sequence[Callable[[Tensor], Tensor]], bool]]


@dataclass(frozen=True)
class Layer:
    """A convolution with its batch norm in it, and ReLU6 behind it where it is active.

    Attributes:
        weight: float (out, in / groups, k, k).
        bias: float (out,).
    """

    weight: Tensor
    bias: Tensor
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    active: bool

    def __call__(self, hidden: Tensor) -> Tensor:
        """Images (B, in, H, W) to (B, out, H / stride, W / stride), with torch's operators."""
        output = F.conv2d(hidden, self.weight, self.bias, self.stride, self.padding, 1, self.groups)
        return F.relu6(output, inplace=True) if self.active else output

    def in_one(self, hidden: Tensor) -> Tensor:
        """The same on a CPU as one oneDNN operator, which torch.compile emits as well: there ReLU6
        costs no trip through memory, and the convolutions are quicker. Has no gradient."""
        after, bounds = ("hardtanh", [0.0, 6.0]) if self.active else ("none", [])
        shape = (self.padding, self.stride, (1, 1), self.groups)
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            hidden, self.weight, self.bias, *shape, after, bounds, ""
        )
        return output


def fold_trunk(trunk: Any) -> list[tuple[list[Layer], bool]]:
    """An EfficientNet-Lite's layers, batch norm with its fixed statistics folded into them.

    Args:
        trunk: an `EfficientNetLite0`, or timm's; gradients reach its parameters.

    Returns:
        Steps: the layers in order, and whether their input is added to their output.
    """

    def fold(conv: nn.Conv2d, norm: Any, *, active: bool = True) -> Layer:
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = conv.weight * gain.view(-1, 1, 1, 1)
        bias = norm.bias - norm.running_mean * gain
        return Layer(weight, bias, conv.stride, conv.padding, conv.groups, active)  # type: ignore[arg-type]

    steps = [([fold(trunk.conv_stem, trunk.bn1)], False)]
    for block in (block for stage in trunk.blocks for block in stage):
        if hasattr(block, "conv_pwl"):
            layers = [
                fold(block.conv_pw, block.bn1),
                fold(block.conv_dw, block.bn2),
                fold(block.conv_pwl, block.bn3, active=False),
            ]
        else:  # the first block does not widen
            layers = [
                fold(block.conv_dw, block.bn1),
                fold(block.conv_pw, block.bn2, active=False),
            ]
        steps.append((layers, block.has_skip))
    return [*steps, ([fold(trunk.conv_head, trunk.bn2)], False)]


def run_steps(steps: Steps, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) through steps of `fold_trunk`, to the last one's map (B, C, h, w)."""
    hidden = images
    for layers, has_skip in steps:
        output = hidden
        for layer in layers:
            output = layer(output)
        hidden = output + hidden if has_skip else output
    return hidden


def run_trunk(steps: Steps, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) to pooled features (B, 1280), through the steps of `fold_trunk`."""
    return run_steps(steps, images).mean((2, 3))


class _Block(nn.Module):
    """Weights of an inverted residual block (Sandler et al., 2018, MobileNetV2, figure 4)."""

    def __init__(self, given: int, kernel: int, stride: int, widening: int, out: int) -> None:
        super().__init__()
        wide = given * widening
        depthwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        if widening > 1:
            self.conv_pw, self.bn1 = nn.Conv2d(given, wide, 1, bias=False), nn.BatchNorm2d(wide)
            self.conv_dw, self.bn2 = depthwise, nn.BatchNorm2d(wide)
            self.conv_pwl, self.bn3 = nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)
        else:
            self.conv_dw, self.bn1 = depthwise, nn.BatchNorm2d(wide)
            self.conv_pw, self.bn2 = nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)
        self.has_skip = stride == 1 and given == out


class EfficientNetLite0(nn.Module):
    """Weights of the network without its classifier; `fold_trunk` and `run_trunk` run it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        stages, width = [], STEM
        for blocks, kernel, stride, widening, out in STAGES:
            stage = [_Block(width, kernel, stride, widening, out)]
            stage += [_Block(out, kernel, 1, widening, out) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*stage))
            width = out
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(width, FEATURES, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(FEATURES)


class LiteTower(nn.Module):
    """Images to embeddings; open_clip's `TimmModel` of this network with an MLP, for inference.

    Args:
        embed_dim: D, width of the shared space.

    Attributes:
        preprocess_cfg: how images are made ready, in open_clip's words.
        fused: whether oneDNN's operators run it, known once it is frozen.
    """

    preprocess_cfg: dict[str, Any]
    fused: bool
    _steps: Steps

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0()
        self.head = nn.Sequential()
        layers = [
            ("fc1", nn.Linear(FEATURES, 2 * embed_dim)),
            ("act", nn.GELU()),
            ("fc2", nn.Linear(2 * embed_dim, embed_dim, bias=False)),
        ]
        self.head.add_module("mlp", nn.Sequential(OrderedDict(layers)))

    @torch.no_grad()
    def freeze(self) -> None:
        """Fold the weights once, where they lie now, and choose the operators for that device."""
        steps = fold_trunk(self.trunk)
        self._steps, self.fused = steps, False
        if self.trunk.conv_stem.weight.device.type != "cpu":
            return
        in_one = [([layer.in_one for layer in layers], skip) for layers, skip in steps]
        try:
            run_trunk(in_one, torch.zeros(1, 3, 32, 32))
        except (AttributeError, RuntimeError) as error:
            reason = str(error).partition("\n")[0][:200]
            logger.info("oneDNN's convolutions are not here, torch's are slower: %s", reason)
            return
        self._steps, self.fused = in_one, True

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images float (B, 3, H, W) to embeddings (B, D), not yet of length 1."""
        pooled = [run_trunk(self._steps, part) for part in _chunks(images)]
        embeddings: Tensor = self.head(torch.cat(pooled))
        return embeddings

    def places(self, images: Tensor) -> Tensor:
        """Normalised images float (B, 3, H, W) to the coarsest map before pooling and before its
        last, widening layer: (B, 320, H / 32, W / 32)."""
        return torch.cat([run_steps(self._steps[:-1], part) for part in _chunks(images)])


def _chunks(images: Tensor) -> Sequence[Tensor]:
    images = images.contiguous(memory_format=torch.channels_last)
    return images.split(CHUNK if images.device.type == "cpu" else len(images))
