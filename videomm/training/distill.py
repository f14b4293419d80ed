"""Distillation of the sentence encoder into the text tower."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from videomm.training.losses import distillation_loss
from videomm.training.progress import load_saved, report, save_atomic, seed_everything
from videomm.training.schedule import learning_rate
from videomm.training.text_tower import pooled_states


@dataclass(frozen=True)
class DistillConfig:
    """Settings of the distillation stage; steps follow from epochs and the amount of text."""

    epochs: int = 6
    batch_size: int = 512
    lr: float = 5e-4
    table_lr_ratio: float = 0.3  # rare words must not wander off from where the teacher put them
    warmup_steps: int = 60
    weight_decay: float = 0.01
    relational_weight: float = 0.2
    save_every: int = 100
    seed: int = 0


def length_batches(lengths: Tensor, batch_size: int, seed: int) -> list[Tensor]:
    """Batches of rows with similar lengths, in random order, the same for the same seed.

    Args:
        lengths: Tokens of each text, int64 (N,).
        batch_size: Rows a batch; the last one may have fewer.
        seed: Fixes ties and order.

    Returns:
        Row indices; every row is in exactly one batch.
    """
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(len(lengths), generator=generator) * 2
    order = torch.argsort(lengths.float() + jitter)
    batches = list(order.split(batch_size))
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def parameter_groups(tower: TextTransformer, config: DistillConfig) -> list[dict[str, object]]:
    """Matrices with weight decay, the rest without, the token table at its own rate."""
    table = tower.token_embedding.weight
    rest = [
        parameter
        for name, parameter in tower.named_parameters()
        if parameter is not table and name != "text_projection"
    ]
    return [
        {
            "params": [p for p in rest if p.ndim > 1],
            "ratio": 1.0,
            "weight_decay": config.weight_decay,
        },
        {"params": [p for p in rest if p.ndim <= 1], "ratio": 1.0, "weight_decay": 0.0},
        {"params": [table], "ratio": config.table_lr_ratio, "weight_decay": 0.0},
    ]


def distill(
    tower: TextTransformer,
    ids: Tensor,
    teacher: npt.NDArray[np.float16],
    checkpoint: Path,
    config: DistillConfig,
) -> None:
    """Train the tower, before its projection, to give the teacher's sentence embeddings.

    Args:
        tower: Trained in place.
        ids: Token ids int64 (N, L).
        teacher: The teacher's embeddings float16 (N, 384) of the same texts.
        checkpoint: Written while training; a run that finds it goes on from there.
        config: Settings.
    """
    seed_everything(config.seed)
    optimizer = torch.optim.AdamW(parameter_groups(tower, config), lr=config.lr, fused=True)
    lengths = (ids != tower.pad_id).sum(1)
    per_epoch = math.ceil(len(ids) / config.batch_size)
    total = per_epoch * config.epochs
    start = 0
    if checkpoint.exists():
        saved = load_saved(checkpoint)
        tower.load_state_dict(saved["tower"])
        if saved["step"] < total:
            optimizer.load_state_dict(saved["optimizer"])
        start = int(saved["step"])
    tower.train()
    for step, rows in _batches_from(lengths, config, start):
        for group in optimizer.param_groups:
            rate = learning_rate(step, total, config.lr, config.warmup_steps)
            group["lr"] = rate * group["ratio"]
        target = torch.from_numpy(teacher[rows.numpy()]).float()
        student = pooled_states(tower, ids[rows])
        loss = distillation_loss(student, target, config.relational_weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            with torch.no_grad():
                cosine = F.cosine_similarity(student, target).mean().item()
            report("distill", step=step, of=total, loss=loss.item(), cosine=round(cosine, 4))
        if (step + 1) % config.save_every == 0 or step + 1 == total:
            state = {"tower": tower.state_dict(), "step": step + 1}
            save_atomic({**state, "optimizer": optimizer.state_dict()}, checkpoint)
    tower.eval()


def _batches_from(
    lengths: Tensor, config: DistillConfig, start: int
) -> Iterator[tuple[int, Tensor]]:
    """(step, rows) from a step on; an epoch's order depends on seed and epoch only."""
    step = 0
    for epoch in range(config.epochs):
        for rows in length_batches(lengths, config.batch_size, config.seed * 1000 + epoch):
            if step >= start:
                yield step, rows
            step += 1


@torch.no_grad()
def embed_ids(tower: nn.Module, ids: Tensor, batch_size: int = 512) -> Tensor:
    """Normalised outputs before the projection, float32 (N, width)."""
    tower.eval()
    parts = [F.normalize(pooled_states(tower, part), dim=-1) for part in ids.split(batch_size)]
    return torch.cat(parts)


def fidelity(tower: TextTransformer, ids: Tensor, teacher: npt.NDArray[np.float16]) -> float:
    """Mean cosine to the teacher."""
    target = F.normalize(torch.from_numpy(teacher).float(), dim=-1)
    return float((embed_ids(tower, ids) * target).sum(-1).mean())
