"""The temporal Transformer: frames of one video attend to each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from videomm.config import Config
from videomm.errors import InvalidInputError


@dataclass(frozen=True)
class TemporalConfig(Config):
    """Shape of a `TemporalTransformer`.

    Attributes:
        dim: D, width of the embeddings.
        num_layers: blocks; 0 leaves mean pooling alone.
        num_heads: attention heads; D must be a multiple of 2 * num_heads.
        mlp_ratio: width of a block's hidden layer, as a multiple of D.
        dropout: on both residual branches, while training.
        min_period: seconds of the fastest rotary position.
        max_period: seconds of the slowest.
    """

    dim: int
    num_layers: int = 2
    num_heads: int = 8
    mlp_ratio: float = 2.0
    dropout: float = 0.1
    min_period: float = 1.0
    max_period: float = 4096.0

    def __post_init__(self) -> None:
        if self.dim < 1 or self.num_heads < 1 or self.dim % (2 * self.num_heads):
            raise InvalidInputError(
                f"dim must be a multiple of 2 * num_heads, got dim={self.dim}, "
                f"num_heads={self.num_heads}"
            )
        if self.num_layers < 0:
            raise InvalidInputError(f"num_layers must be at least 0, got {self.num_layers}")
        if not 0 < self.min_period < self.max_period:
            raise InvalidInputError(
                "periods need 0 < min_period < max_period, got "
                f"{self.min_period} and {self.max_period}"
            )


@dataclass(frozen=True)
class Context:
    """What the heads see.

    Attributes:
        frames: float (B, N, D), L2-normalised; zero where padded.
        pooled: float (B, D), L2-normalised mean of a video's frames.
        mask: bool (B, N), True for frames and False for padding.
    """

    frames: Tensor
    pooled: Tensor
    mask: Tensor


class TemporalTransformer(nn.Module):
    """Pre-norm Transformer over frame embeddings, with positions from seconds.

    Positions are rotary (Su et al. 2021, RoFormer, equation 15) with the angle taken from a
    frame's time in seconds, so attention depends on time differences and not on how densely a
    video was sampled. The last layer of each residual branch starts at zero (as Zhang et al.
    2019, Fixup, and ReZero do): untrained, the module is the identity, and its pooled output is
    mean-pooled CLIP.
    """

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(TemporalBlock(config) for _ in range(config.num_layers))
        # Not a parameter and not saved: it follows from the config.
        self.register_buffer("frequencies", rotary_frequencies(config), persistent=False)
        self.frequencies: Tensor

    def forward(self, embeddings: Tensor, times: Tensor, mask: Tensor | None = None) -> Context:
        """Let the frames of each video attend to each other.

        Args:
            embeddings: float (B, N, D), L2-normalised.
            times: (B, N) seconds; values at padding do not matter.
            mask: bool (B, N), True for frames; None where nothing is padded. Each video needs at
                least one frame.

        Returns:
            The context.

        Raises:
            InvalidInputError: shapes do not fit, or a video has no frame.
        """
        return self.attend(embeddings, times, check_batch(embeddings, times, mask, self.config.dim))

    def attend(self, embeddings: Tensor, times: Tensor, mask: Tensor) -> Context:
        """The same, unchecked: only shapes decide the arithmetic."""
        cos, sin = rotary_angles(times, mask, self.frequencies, embeddings.dtype)
        x = embeddings
        for block in self.blocks:
            x = block(x, cos, sin, mask[:, None, :])
        keep = mask[..., None].to(x.dtype)
        frames = nn.functional.normalize(x, dim=-1) * keep
        pooled = nn.functional.normalize((frames.sum(dim=1) / keep.sum(dim=1)), dim=-1)
        return Context(frames, pooled, mask)


def check_batch(embeddings: Tensor, times: Tensor, mask: Tensor | None, dim: int) -> Tensor:
    """The mask bool (B, N) of a batch of videos, all True where None was given.

    Raises:
        InvalidInputError: shapes do not fit, or a video has no frame.
    """
    if embeddings.ndim != 3 or embeddings.shape[2] != dim:
        raise InvalidInputError(f"embeddings must be (B, N, {dim}), got {tuple(embeddings.shape)}")
    if mask is None:
        mask = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=embeddings.device)
    if times.shape != embeddings.shape[:2] or mask.shape != embeddings.shape[:2]:
        raise InvalidInputError(
            f"times and mask must be {tuple(embeddings.shape[:2])}, got "
            f"{tuple(times.shape)} and {tuple(mask.shape)}"
        )
    if not bool(mask.any(dim=1).all()):
        raise InvalidInputError("each video needs at least one frame that is not padding")
    return mask


def rotary_frequencies(config: TemporalConfig) -> Tensor:
    """Radians a second of each rotated pair, fastest first: float64 (D / num_heads / 2,)."""
    pairs = config.dim // config.num_heads // 2
    first, last = math.log10(config.min_period), math.log10(config.max_period)
    return 2 * math.pi / torch.logspace(first, last, pairs, dtype=torch.float64)


def rotary_angles(
    times: Tensor, mask: Tensor, frequencies: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosine and sine (B, 1, N, pairs) of each frame's angles; times (B, N) are seconds."""
    # Angles in float64: after an hour a float32 second is off by 1e-4 of a fast period.
    angles = times.double().masked_fill(~mask, 0.0)[:, None, :, None] * frequencies
    return angles.cos().to(dtype), angles.sin().to(dtype)


class TemporalBlock(nn.Module):
    """Attention and a hidden layer, each added to what came in; untrained it is the identity.

    Args:
        config: shape of the block.
    """

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        hidden = int(config.dim * config.mlp_ratio)
        self.num_heads = config.num_heads
        self.norm1 = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = nn.Sequential(nn.Linear(config.dim, hidden), nn.GELU())
        self.down = nn.Linear(hidden, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        """Frames (B, N, D) to the same; `seen` bool (B, N or 1, N): who attends to whom."""
        batch, length, dim = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, length, 3, self.num_heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(
            _rotate(q, cos, sin), _rotate(k, cos, sin), v, attn_mask=seen[:, None]
        )
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(batch, length, dim)))
        return x + self.dropout(self.down(self.mlp(self.norm2(x))))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (x[i], x[i + half]) of each head by the angles of their frame."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)
