"""Contrastive training of the image tower against the sentence encoder's embeddings.

The text side is frozen but for one linear map, which later becomes the text tower's projection: so
few images can move the image tower towards the texts' space, not the texts' space itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from videomm.training.distill import learning_rate
from videomm.training.features import RandomCrops, run_trunk, tail_parts
from videomm.training.losses import contrastive_loss, soft_target_loss
from videomm.training.pairs import LabelSet, Pairs, ValidationSet, measure
from videomm.training.progress import load_saved, report, save_atomic, seed_everything

MAX_SCALE = 100.0
CHUNK = 32  # images


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of one stage of image training."""

    steps: int = 900
    batch_size: int = 512
    texts_per_image: int = 2
    trained: Literal["head", "tail", "whole"] = "head"  # the last two with the head
    lr: float = 2e-3
    trunk_lr: float = 2e-3  # a step's share of each tensor's root mean square
    trunk_start: int = 50  # steps for the head alone, so that the trunk gets useful gradients
    map_lr_ratio: float = 1.0
    warmup_steps: int = 20
    weight_decay: float = 0.05
    noise: float = 0.1  # of each pooled feature's deviation
    feature_dropout: float = 0.2  # of pooled features
    soft_weight: float = 0.5
    label_weight: float = 1.0
    ema_decay: float = 0.99
    measure_every: int = 300
    seed: int = 0


class ImageTower(nn.Module):
    """The trained part of open_clip's image tower, with the map of the text side.

    Args:
        visual: open_clip's ``TimmModel`` with the backbone's weights.
        text_width: Width of the sentence embeddings.
        embed_dim: Width of the shared space.
    """

    def __init__(self, visual: nn.Module, text_width: int, embed_dim: int) -> None:
        super().__init__()
        self.visual = visual
        # Orthonormal rows keep every cosine between texts as the sentence encoder has it.
        self.text_map = nn.Parameter(torch.empty(text_width, embed_dim))
        nn.init.orthogonal_(self.text_map)
        self.log_scale = nn.Parameter(torch.tensor(20.0).log())
        self.log_soft_scale = nn.Parameter(torch.tensor(20.0).log())

    @property
    def scale(self) -> Tensor:
        """Inverse temperature of the contrastive loss."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def pool(self, inputs: Tensor) -> Tensor:
        """Images (B, 3, H, W) or feature maps (B, 96, 14, 14) to pooled features (B, 1280)."""
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        # Few images at a time stay nearer to the processor from layer to layer.
        parts = inputs.split(CHUNK) if inputs.shape[1] == 3 else [inputs]
        trunk = cast(nn.Module, self.visual.trunk)
        return torch.cat([run_trunk(trunk, part) for part in parts])

    def head(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, 1280) to embeddings (B, D), L2-normalised float32."""
        return F.normalize(self.visual.head(pooled).float(), dim=-1)  # type: ignore[operator]

    def map_text(self, sentences: Tensor) -> Tensor:
        """Sentence embeddings (T, 384) to the shared space (T, D), L2-normalised."""
        return F.normalize(sentences.float() @ self.text_map, dim=-1)


@dataclass(frozen=True)
class PretrainData:
    """Everything image training reads.

    Attributes:
        views: Inputs of the training images, one array a view: feature maps float16
            (N, 96, 14, 14), or pooled features (N, 1280) where the head alone is trained; or
            `RandomCrops` of the images, where the whole tower is.
        val_views: Inputs of the validation images, by view name: arrays as above, or images
            float16 (N, 3, 224, 224).
        logits: The backbone's class logits float16 (N, 1000), one array a view; one for all crops.
        pairs: Texts of the training images.
        sentences: Sentence embeddings of all texts, float32 (T, 384).
        classes: Embeddings of the class names, float32 (1000, 384).
        label_sets: Labels of the training images, to be told apart within their set.
        validation: Questions about the validation images.
    """

    views: Sequence[npt.NDArray[np.float16]] | RandomCrops
    val_views: dict[str, npt.NDArray[np.float16]]
    logits: Sequence[npt.NDArray[np.float16]]
    pairs: Pairs
    sentences: Tensor
    classes: Tensor
    label_sets: Sequence[LabelSet]
    validation: ValidationSet


def perturb(pooled: Tensor, config: PretrainConfig, generator: torch.Generator) -> Tensor:
    """Noise and dropout on pooled features, float32 (B, 1280)."""
    noise = torch.randn(pooled.shape, generator=generator) * config.noise
    keep = torch.rand(pooled.shape, generator=generator) >= config.feature_dropout
    return (pooled + noise * pooled.detach().std(0)) * keep / (1 - config.feature_dropout)


@torch.no_grad()
def pool_views(tower: ImageTower, view: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """Pooled features float16 (N, 1280) of cached maps (N, 96, 14, 14)."""
    tower.eval()
    parts = []
    for start in range(0, len(view), 256):
        maps = torch.from_numpy(view[start : start + 256]).float()
        parts.append(tower.pool(maps).half().numpy())
    return np.concatenate(parts)


@torch.no_grad()
def embed_inputs(tower: ImageTower, view: npt.NDArray[np.float16]) -> Tensor:
    """Image embeddings float32 (N, D) of cached maps or pooled features."""
    pooled = pool_views(tower, view) if view.ndim == 4 else view
    return tower.eval().head(torch.from_numpy(pooled).float())


def validate(tower: ImageTower, data: PretrainData) -> dict[str, dict[str, float]]:
    """The validation figures of each view."""
    with torch.no_grad():
        texts = tower.map_text(data.sentences)
    return {
        name: measure(embed_inputs(tower, view), texts, data.validation)
        for name, view in data.val_views.items()
    }


def parameter_groups(tower: ImageTower, config: PretrainConfig) -> list[dict[str, object]]:
    """Head, text map and scales, and what is trained of the trunk.

    Batch norm is folded into the trunk's weights, whose sizes differ by a factor of a hundred. Adam
    moves every weight by about its learning rate, so each tensor has a rate of its own size.
    """
    trunk = [p for p in tower.visual.trunk.parameters() if p.requires_grad]  # type: ignore[union-attr]
    head = list(tower.visual.head.parameters())  # type: ignore[union-attr]
    scales = [tower.log_scale, tower.log_soft_scale]

    def group(
        parameters: list[nn.Parameter], peak: float, decay: float = 0.0, first_step: int = 0
    ) -> dict[str, object]:
        settings = {"weight_decay": decay, "peak": peak, "first_step": first_step}
        return {"params": parameters, **settings}

    return [
        group([p for p in head if p.ndim > 1], config.lr, config.weight_decay),
        group([p for p in head if p.ndim <= 1], config.lr),
        group([tower.text_map], config.lr * config.map_lr_ratio),
        group(scales, config.lr),
        *(group([p], config.trunk_lr * size_of(p), first_step=config.trunk_start) for p in trunk),
    ]


def size_of(parameter: Tensor) -> float:
    """Root mean square of its elements."""
    return float(parameter.detach().square().mean().sqrt())


def set_trainable(tower: ImageTower, trained: Literal["head", "tail", "whole"]) -> None:
    """Freeze what is not trained of the trunk."""
    trunk = cast(nn.Module, tower.visual.trunk)
    trunk.requires_grad_(trained == "whole")
    if trained == "tail":
        for part in tail_parts(trunk):
            part.requires_grad_(True)


def step_seed(config: PretrainConfig, step: int) -> int:
    """Seeded a step, not a run, so that a resumed run draws what an unbroken one does."""
    return config.seed * 1_000_003 + step


def draw_inputs(
    data: PretrainData, config: PretrainConfig, start: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches from step ``start`` on: image numbers (B,), inputs, class logits (B, 1000)."""
    number = len(data.pairs.text_rows)

    def draw_rows(step: int) -> tuple[Tensor, torch.Generator]:
        generator = torch.Generator().manual_seed(step_seed(config, step))
        return torch.randperm(number, generator=generator)[: config.batch_size], generator

    if isinstance(data.views, RandomCrops):
        rows = [draw_rows(step)[0] for step in range(start, config.steps)]
        keys = [
            [(row, config.batch_size * step + i) for i, row in enumerate(batch.tolist())]
            for step, batch in enumerate(rows, start)
        ]
        loader = DataLoader(data.views, batch_sampler=keys, num_workers=1, prefetch_factor=2)
        for batch, crops in zip(rows, loader, strict=True):
            yield batch, crops, torch.from_numpy(data.logits[0][batch.numpy()]).float()
        return
    for step in range(start, config.steps):
        batch, generator = draw_rows(step)
        yield batch, *pick_views(data, batch, generator)


def pick_views(
    data: PretrainData, rows: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Inputs and class logits (B, 1000) of one cached view of each image, float32."""
    views = cast(Sequence[npt.NDArray[np.float16]], data.views)
    picks = torch.randint(len(views), (len(rows),), generator=generator).tolist()
    pairs = list(zip(picks, rows.tolist(), strict=True))
    inputs = np.stack([views[view][row] for view, row in pairs])
    logits = np.stack([data.logits[view][row] for view, row in pairs])
    return torch.from_numpy(inputs).float(), torch.from_numpy(logits).float()


def batch_loss(
    tower: ImageTower,
    data: PretrainData,
    config: PretrainConfig,
    batch: tuple[Tensor, Tensor, Tensor],
    generator: torch.Generator,
) -> Tensor:
    """The loss of one step on a batch of `draw_inputs`."""
    rows, inputs, logits = batch
    pooled = inputs if config.trained == "head" else tower.pool(inputs)
    image = tower.head(perturb(pooled, config, generator))
    texts, positives = data.pairs.sample(rows, config.texts_per_image, generator)
    loss = contrastive_loss(image, tower.map_text(data.sentences[texts]), positives, tower.scale)
    if config.soft_weight:
        classes = tower.map_text(data.classes)
        soft_scale = tower.log_soft_scale.exp().clamp(max=MAX_SCALE)
        soft = soft_target_loss(image, classes, logits.softmax(1), soft_scale)
        loss = loss + config.soft_weight * soft
    if config.label_weight:
        loss = loss + config.label_weight * label_loss(tower, data, image, rows)
    return loss


def label_loss(tower: ImageTower, data: PretrainData, image: Tensor, rows: Tensor) -> Tensor:
    """Cross-entropy among all labels of a set, as zero-shot classification asks it.

    Args:
        tower: Maps the labels' texts.
        data: Holds the label sets.
        image: Embeddings of the batch (B, D), L2-normalised.
        rows: The batch's image numbers (B,).

    Returns:
        The sum over all labelled images of the batch, divided by the size of the batch.
    """
    total = image.new_zeros(())
    for labels in data.label_sets:
        classes = labels.classes[rows]
        known = classes >= 0
        texts = F.normalize(tower.map_text(data.sentences[labels.rows]).mean(1), dim=-1)
        logits = tower.scale * image[known] @ texts.T
        total = total + F.cross_entropy(logits, classes[known], reduction="sum")
    return total / len(rows)


def pretrain(
    tower: ImageTower, data: PretrainData, checkpoint: Path, config: PretrainConfig
) -> None:
    """Train the tower in place; it ends as the moving average of its weights.

    Args:
        tower: Starts from the backbone, or from an earlier stage.
        data: Inputs and texts.
        checkpoint: Written at every measurement; a run that finds it goes on from there.
        config: Settings.
    """
    seed_everything(config.seed)
    set_trainable(tower, config.trained)
    optimizer = torch.optim.AdamW(parameter_groups(tower, config), lr=config.lr)
    trained = [p for p in tower.parameters() if p.requires_grad]
    average = copy.deepcopy(tower)
    start = 0
    if checkpoint.exists():
        saved = load_saved(checkpoint)
        start = int(saved["step"])
        tower.load_state_dict(saved["tower"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
    generator = torch.Generator()
    for step, batch in enumerate(draw_inputs(data, config, start), start):
        generator.manual_seed(2**31 + step_seed(config, step))
        torch.manual_seed(step_seed(config, step))
        for group in optimizer.param_groups:
            since = step - group["first_step"]
            total = config.steps - group["first_step"]
            rate = learning_rate(since, total, group["peak"], config.warmup_steps)
            group["lr"] = rate if since >= 0 else 0.0
        tower.eval()  # batch norm keeps its folded statistics
        tower.visual.head.train()  # type: ignore[union-attr]
        loss = batch_loss(tower, data, config, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        update_average(average, tower, min(config.ema_decay, (step + 1) / (step + 10)))
        if (step + 1) % config.measure_every == 0 or step + 1 == config.steps:
            scale = round(tower.scale.item(), 1)
            figures = validate(average, data)
            report("pretrain", step=step + 1, loss=loss.item(), scale=scale, val=figures)
            state = {"tower": tower.state_dict(), "average": average.state_dict()}
            rest = {"optimizer": optimizer.state_dict(), "step": step + 1}
            save_atomic({**state, **rest}, checkpoint)
    tower.load_state_dict(average.state_dict())
    tower.eval()


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the trained parameters, in place."""
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        if value.requires_grad:  # averaging a frozen trunk costs more than a step of the head
            mean.lerp_(value, 1 - decay)
