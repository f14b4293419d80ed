"""What changes from step to step of any training: rate, seed, and the weights' average."""

from __future__ import annotations

import math

import torch
from torch import nn


def learning_rate(step: int, total: int, peak: float, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to zero (step counts from 0)."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def step_seed(seed: int, step: int) -> int:
    """Seeded a step, not a run, so that a resumed run draws what an unbroken one does."""
    return seed * 1_000_003 + step


def average_decay(decay: float, step: int) -> float:
    """The decay of `update_average` after a step (from 0): the first weights are soon forgotten."""
    return min(decay, (step + 1) / (step + 10))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the parameters, in place; buffers are copied."""
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for kept, now in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(now)
