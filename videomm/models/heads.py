"""Heads: a context into scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassificationHead(nn.Module):
    """Sim(I, T) = Iᵀ·W·T with a learnable W that starts at the identity.

    With W the identity this is CLIP's cosine similarity (Radford et al. 2021, figure 3).

    Args:
        dim: D, width of the shared space.
        logit_scale: inverse temperature that turns a similarity into a logit.
        logit_bias: bias of a sigmoid-trained space (Zhai et al. 2023, SigLIP, algorithm 1).
    """

    def __init__(self, dim: int, logit_scale: float, logit_bias: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim))
        self.logit_scale = nn.Parameter(torch.tensor(float(logit_scale)))
        self.logit_bias = None if logit_bias is None else nn.Parameter(torch.tensor(logit_bias))

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """Iᵀ·W·T.

        Args:
            images: float (..., D), frames or pooled, L2-normalised.
            texts: float (L, D), L2-normalised, or differences of such.

        Returns:
            float (..., L).
        """
        return images @ self.weight @ texts.mT

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        """Logits (..., L) of `similarity`: scaled, and with the bias where there is one."""
        return self.to_logits(self.similarity(images, texts))

    def to_logits(self, similarities: Tensor) -> Tensor:
        """Similarities scaled, and with the bias where there is one."""
        logits = self.logit_scale * similarities
        return logits if self.logit_bias is None else logits + self.logit_bias


class SummaryHead(nn.Module):
    """Importance of frames: what they have untrained, moved by what their context tells.

    Untrained it changes nothing, so that training can only be measured as a gain over that.

    Args:
        dim: D, width of the context.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, 1)
        self.trust = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, frames: Tensor, start: Tensor) -> Tensor:
        """Importance in (0, 1).

        Args:
            frames: float (..., D), the context of each frame.
            start: float (...), in [0, 1]: the importance to begin with.

        Returns:
            float (...).
        """
        moved: Tensor = self.project(self.norm(frames)).squeeze(-1)
        return torch.sigmoid(self.trust * torch.logit(start, eps=1e-3) + moved)
