"""Temporal segmentation: a label for each frame of a video, learned from labelled frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from videomm.config import Config
from videomm.errors import InvalidInputError
from videomm.models.temporal import (
    TemporalBlock,
    TemporalConfig,
    check_batch,
    rotary_angles,
    rotary_frequencies,
)

# The label of time that no segment covers; it takes no part in edit score and F1.
BACKGROUND = "background"


@dataclass(frozen=True)
class FrameLabelConfig(Config):
    """Shape of a `FrameLabelModel`.

    Attributes:
        dim: D, width of the features that come in.
        num_labels: L, how many labels there are.
        width: width inside; a multiple of 2 * num_heads.
        num_convolutions: dilated convolutions over neighbouring frames, each reaching twice as far
            as the one before.
        windows: attention blocks after them, each with the seconds to either side that a frame
            attends to; None is the whole video.
        num_heads: attention heads.
        num_refinements: stages after the first, which see nothing but the labels so far; they have
            convolutions alone.
        refinement_convolutions: how many, dilated as in the first stage.
        dropout: on every residual branch, while training.
        feature_dropout: share of the features that a video loses whole, while training.
    """

    dim: int
    num_labels: int
    width: int = 64
    num_convolutions: int = 4
    windows: tuple[float | None, ...] = (16.0, None)
    num_heads: int = 4
    num_refinements: int = 2
    refinement_convolutions: int = 6
    dropout: float = 0.3
    feature_dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.dim < 1 or self.num_labels < 2:
            raise InvalidInputError(
                "a model of frame labels needs dim of at least 1 and num_labels of at least 2, got "
                f"dim={self.dim}, num_labels={self.num_labels}"
            )
        counts = (self.num_convolutions, self.num_refinements, self.refinement_convolutions)
        if min(counts) < 0:
            raise InvalidInputError(
                "num_convolutions, num_refinements and refinement_convolutions must be at least 0, "
                f"got {counts}"
            )
        if any(window is not None and not window > 0 for window in self.windows):
            raise InvalidInputError(
                f"windows must be seconds above 0, or None for the whole video, got {self.windows}"
            )
        if not (0 <= self.dropout < 1 and 0 <= self.feature_dropout < 1):
            raise InvalidInputError(
                "dropouts must be at least 0 and below 1, got "
                f"dropout={self.dropout}, feature_dropout={self.feature_dropout}"
            )
        # JSON has lists; width and heads are checked where the blocks check theirs.
        object.__setattr__(self, "windows", tuple(self.windows))
        self.temporal()

    def temporal(self) -> TemporalConfig:
        """Shape of the attention blocks."""
        return TemporalConfig(
            dim=self.width,
            num_layers=len(self.windows),
            num_heads=self.num_heads,
            dropout=self.dropout,
            max_period=512.0,
        )


class FrameLabelModel(nn.Module):
    """Dilated convolutions, then attention: neighbours first, then the whole video; then refined.

    The first stage reads features; each refinement, of convolutions alone, reads the probabilities
    of the stage before it and nothing else, and so learns which labels follow each other and how
    long they last (Farha & Gall 2019, MS-TCN, https://arxiv.org/abs/1903.01945, section 3.2). The
    convolutions look at neighbouring frames, whatever their times (ASFormer puts them before
    attention too, Yi et al. 2021, https://arxiv.org/abs/2110.08568), so videos should be sampled at
    the rate of training; the attention blocks are those of `TemporalTransformer`, with positions
    from seconds, within a window or over the whole video.

    Features are standardised with a mean and a deviation that are part of the weights, 0 and 1
    until training sets them; so are the seconds from frame to frame, 0 until then.

    Args:
        config: shape of the model.
    """

    def __init__(self, config: FrameLabelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("deviation", torch.ones(config.dim))
        self.register_buffer("spacing", torch.zeros(()))
        # Not saved: they follow from the config.
        frequencies = rotary_frequencies(config.temporal())
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.mean: Tensor
        self.deviation: Tensor
        self.spacing: Tensor
        self.frequencies: Tensor
        # Whole features are dropped, a video at a time: a model of few videos rests on few else.
        self.feature_dropout = nn.Dropout1d(config.feature_dropout)
        self.stages = nn.ModuleList(
            [_Stage(config.dim, config, config.num_convolutions, len(config.windows))]
            + [
                _Stage(config.num_labels, config, config.refinement_convolutions, 0)
                for _ in range(config.num_refinements)
            ]
        )

    def forward(self, features: Tensor, times: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits of every frame's labels, as the last stage has them.

        Args:
            features: float (B, N, D), of any length.
            times: (B, N) seconds; values at padding do not matter.
            mask: bool (B, N), True for frames; None where nothing is padded. Each video needs at
                least one frame.

        Returns:
            Float (B, N, L); zero where padded.

        Raises:
            InvalidInputError: shapes do not fit, or a video has no frame.
        """
        return self.all_stages(features, times, mask)[-1]

    def all_stages(self, features: Tensor, times: Tensor, mask: Tensor | None = None) -> Tensor:
        """As `forward`, with the logits of each stage: float (S, B, N, L)."""
        mask = check_batch(features, times, mask, self.config.dim)
        keep = mask[..., None]
        # Padding may hold anything, NaN included.
        features = ((features - self.mean) / self.deviation).masked_fill(~keep, 0.0)
        x = self.feature_dropout(features.mT).mT
        cos, sin = rotary_angles(times, mask, self.frequencies, x.dtype)
        seen = [_seen(times, mask, window) for window in self.config.windows]
        logits: list[Tensor] = []
        for stage in self.stages:
            logits.append(stage(x, cos, sin, seen, keep))
            x = logits[-1].softmax(-1)
        return torch.stack(logits)

    @torch.no_grad()
    def cool(self, temperature: float) -> None:
        """Divide the last stage's logits by a temperature."""
        head = self.stages[-1].head
        for weight in head.parameters():  # type: ignore[union-attr]
            weight.div_(temperature)


class _Stage(nn.Module):
    def __init__(
        self, dim: int, config: FrameLabelConfig, num_convolutions: int, num_blocks: int
    ) -> None:
        super().__init__()
        temporal = config.temporal()
        self.project = nn.Linear(dim, config.width)
        self.convolutions = nn.ModuleList(
            _Convolution(config.width, 2**i, config.dropout) for i in range(num_convolutions)
        )
        self.blocks = nn.ModuleList(TemporalBlock(temporal) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.num_labels)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, seen: list[Tensor], keep: Tensor
    ) -> Tensor:
        x = self.project(x)
        for convolution in self.convolutions:
            x = convolution(x, keep)
        # A refinement has no blocks.
        for block, who in zip(self.blocks, seen, strict=False):
            x = block(x, cos, sin, who)
        logits: Tensor = self.head(self.norm(x)).masked_fill(~keep, 0.0)
        return logits


def _seen(times: Tensor, mask: Tensor, window: float | None) -> Tensor:
    """Bool (B, N, N): which frames each frame attends to."""
    if window is None:
        return mask[:, None, :]
    apart = (times[:, :, None] - times[:, None, :]).abs()
    # Padding attends to itself, as a softmax over nothing is NaN, in gradients too.
    alone = torch.eye(times.shape[1], dtype=torch.bool, device=times.device)
    return (mask[:, None, :] & (apart <= window)) | alone


class _Convolution(nn.Module):
    """x + GELU(convolution of three frames, `dilation` apart), with nothing seen of padding."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        seen = self.norm(x).masked_fill(~keep, 0.0)
        return x + self.dropout(nn.functional.gelu(self.convolution(seen.mT)).mT)
