"""Contrastive training of the image tower, from pixels, alone or together with the text tower.

The one loop of the embedded model's recipe and of `videomm pretrain`. In the recipe, the text side
is at first frozen but for one linear map, the text tower's projection: so few images can move the
image tower towards the texts' space, not the texts' space itself. At the end both towers learn
from each other, and a distillation loss holds the text tower where it was, on texts that have no
picture as well, so that it keeps its open vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from videomm.progress import progress_bar
from videomm.training.distill import embed_ids
from videomm.training.losses import (
    contrastive_loss,
    distillation_loss,
    naming_loss,
    soft_target_loss,
)
from videomm.training.pairs import LabelSet, Pairs, ShortTexts, ValidationSet, measure
from videomm.training.progress import load_saved, report, save_atomic, seed_everything
from videomm.training.ranks import gather, rank, share, sum_gradients
from videomm.training.schedule import average_decay, learning_rate, step_seed, update_average
from videomm.training.towers import MAX_SCALE, ImageTower, TowerPair

ZERO_SIZE = 0.02  # taken for the size of a tensor that is zero, as an untrained bias is


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of image training; those of the text tower count only where it is trained too."""

    steps: int = 840
    batch_size: int = 256
    texts_per_image: int = 2
    lr: float = 1e-3
    trunk_lr: float = 1.5e-3  # a step's share of each tensor's root mean square
    trunk_start: int = 40  # steps for the head alone, so that the trunk gets useful gradients
    map_lr_ratio: float = 1.0
    text_lr: float = 1e-4
    token_table: bool = False  # train the text tower's as well; rare words live in it
    open_texts: int = 64  # further texts a step, for the distillation loss alone
    distill_weight: float = 5.0
    warmup_steps: int = 30
    weight_decay: float = 0.05
    feature_dropout: float = 0.2  # of pooled features
    soft_weight: float = 0.75
    label_weight: float = 1.0
    short_weight: float = 0.5
    ema_decay: float = 0.99
    measure_every: int = 100
    seed: int = 0


@dataclass(frozen=True)
class SoftTargets:
    """Another network's view of the training pictures.

    Attributes:
        logits: Its class logits, float16 (N, C).
        classes: States of the class names, float32 (C, W).
    """

    logits: npt.NDArray[np.float16]
    classes: Tensor


@dataclass(frozen=True)
class PretrainData:
    """Everything image training reads.

    Attributes:
        crops: The training pictures by (row, seed): random crops float32 (3, H, W), or the pooled
            features (F,) of a frozen trunk.
        val_images: The validation pictures, float16 (N, 3, H, W), or their pooled features (N, F).
        pairs: Texts of the training pictures.
        ids: Token ids of all texts (T, L).
        validation: Questions about the validation pictures.
        states: The text tower's states of all texts that are used, as it was before, float32
            (T, W). A frozen text tower needs them; one that is trained is held to them where
            they are given.
        open_rows: Which further texts, with a picture or without, it is held to.
        soft: What the pictures are for another network.
        label_sets: Labels of the training pictures, to be told apart within their set.
        short: Short texts of the training pictures, to be told apart within a batch.
    """

    crops: Dataset[Tensor]
    val_images: Tensor
    pairs: Pairs
    ids: Tensor
    validation: ValidationSet
    states: Tensor | None = None
    open_rows: Tensor | None = None
    soft: SoftTargets | None = None
    label_sets: Sequence[LabelSet] = ()
    short: ShortTexts | None = None


def drop_features(pooled: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Dropout on pooled features, float32 (B, F)."""
    keep = torch.rand(pooled.shape, generator=generator) >= share
    return pooled * keep / (1 - share)


@torch.no_grad()
def embed_images(tower: ImageTower, images: Tensor) -> Tensor:
    """Image embeddings float32 (N, D) of images (N, 3, H, W), or of pooled features (N, F)."""
    tower.eval()
    return torch.cat([tower.head(tower.pool(part)) for part in images.split(256)])


def validate(pair: TowerPair, data: PretrainData) -> dict[str, float]:
    """The validation figures."""
    if pair.text is None:
        assert data.states is not None
        states = data.states
    else:
        prompts = [rows.flatten() for _, _, rows in data.validation.labels.values()]
        used = torch.cat([data.validation.caption_rows, *prompts]).unique()
        embedded = embed_ids(pair.text, data.ids[used])
        states = embedded.new_zeros(len(data.ids), embedded.shape[1])
        states[used] = embedded
    with torch.no_grad():
        texts = pair.image.map_text(states)
    return measure(embed_images(pair.image, data.val_images), texts, data.validation)


def parameter_groups(pair: TowerPair, config: PretrainConfig) -> list[dict[str, object]]:
    """Head, text map and scales, the trunk, and the text tower, whose token table may stay.

    The sizes of the trunk's tensors differ by a factor of a hundred. Adam moves every weight by
    about its learning rate, so each tensor has a rate of its own size.
    """
    tower = pair.image
    trunk = [p for p in tower.trunk.parameters() if p.requires_grad]
    head = [] if tower.head_module is None else list(tower.head_module.parameters())
    scales = [tower.log_scale, tower.log_soft_scale]
    text: list[nn.Parameter] = []
    if pair.text is not None:
        left_out = {"text_projection", "proj.weight"}  # the map is the projection
        if not config.token_table:
            left_out.add("token_embedding.weight")
        text = [p for name, p in pair.text.named_parameters() if name not in left_out]

    def group(
        parameters: list[nn.Parameter], peak: float, decay: float = 0.0, first_step: int = 0
    ) -> dict[str, object]:
        settings = {"weight_decay": decay, "peak": peak, "first_step": first_step}
        return {"params": parameters, **settings}

    text_map = [] if tower.text_map is None else [tower.text_map]
    return [
        group([p for p in head if p.ndim > 1], config.lr, config.weight_decay),
        group([p for p in head if p.ndim <= 1], config.lr),
        group(text_map, config.lr * config.map_lr_ratio),
        group(scales, config.lr),
        group(text, config.text_lr, 0.01),
        *(group([p], config.trunk_lr * size_of(p), first_step=config.trunk_start) for p in trunk),
    ]


def size_of(parameter: Tensor) -> float:
    """Root mean square of its elements; `ZERO_SIZE` where all are zero."""
    return float(parameter.detach().square().mean().sqrt()) or ZERO_SIZE


def draw_crops(
    data: PretrainData, batch_size: int, seed: int, steps: range
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """A batch a step: the step, image numbers (B,), and this rank's share of the crops."""
    number = len(data.pairs.text_rows)
    rows = [
        torch.randperm(number, generator=torch.Generator().manual_seed(step_seed(seed, step)))
        for step in steps
    ]
    rows = [order[:batch_size] for order in rows]
    keys = [
        [(int(batch[i]), batch_size * step + i) for i in share(torch.arange(len(batch))).tolist()]
        for step, batch in zip(steps, rows, strict=True)
    ]
    loader = DataLoader(data.crops, batch_sampler=keys, num_workers=1, prefetch_factor=2)
    yield from zip(steps, rows, loader, strict=True)


def batch_loss(
    pair: TowerPair,
    data: PretrainData,
    config: PretrainConfig,
    rows: Tensor,
    crops: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """The loss of one step on a batch of `draw_crops`."""
    tower = pair.image
    pooled = gather(tower.pool(crops), len(rows))
    image = tower.head(drop_features(pooled, config.feature_dropout, generator))
    texts, positives = data.pairs.sample(rows, config.texts_per_image, generator)
    parts = [texts, *(one_prompt(labels, generator) for labels in data.label_sets)]
    if data.short is not None:
        places, short, right = data.short.sample(rows, generator)
        parts.append(short)
    drawn = parts
    if data.open_rows is not None:
        extra = torch.randint(len(data.open_rows), (config.open_texts,), generator=generator)
        drawn = [*parts, data.open_rows[extra]]
    needed, place = torch.cat(drawn).unique(return_inverse=True)
    states = pair.text_states(data.states, data.ids, needed)
    embedded = tower.map_text(states)[place].split([len(part) for part in drawn])
    loss = contrastive_loss(image, embedded[0], positives, tower.scale)
    if data.soft is not None:
        target = torch.from_numpy(data.soft.logits[rows.numpy()]).float().softmax(1)
        soft_scale = tower.log_soft_scale.exp().clamp(max=MAX_SCALE)
        soft = soft_target_loss(image, tower.map_text(data.soft.classes), target, soft_scale)
        loss = loss + config.soft_weight * soft
    sets = len(data.label_sets)
    if data.short is not None:
        naming = naming_loss(image[places], embedded[1 + sets], right, tower.scale)
        loss = loss + config.short_weight * naming / len(rows)
    for labels, names in zip(data.label_sets, embedded[1 : 1 + sets], strict=True):
        classes = labels.classes[rows]
        known = classes >= 0
        logits = tower.scale * image[known] @ names.T
        entropy = F.cross_entropy(logits, classes[known], reduction="sum") / len(rows)
        loss = loss + config.label_weight * entropy
    if pair.text is not None and data.states is not None:
        loss = loss + config.distill_weight * distillation_loss(states, data.states[needed])
    return loss


def one_prompt(labels: LabelSet, generator: torch.Generator) -> Tensor:
    """Text rows of all labels of a set in one of the prompts: as zero-shot classification asks."""
    return labels.rows[:, int(torch.randint(labels.rows.shape[1], (1,), generator=generator))]


def set_rates(optimizer: torch.optim.Optimizer, config: PretrainConfig, step: int) -> None:
    """Each group's learning rate at a step; none before its first."""
    for group in optimizer.param_groups:
        since, total = step - group["first_step"], config.steps - group["first_step"]
        rate = learning_rate(since, total, group["peak"], config.warmup_steps)
        group["lr"] = rate if since >= 0 else 0.0


def pretrain(
    pair: TowerPair,
    data: PretrainData,
    checkpoint: Path,
    config: PretrainConfig,
    *,
    log: Callable[..., None] = report,
    progress: bool = False,
) -> None:
    """Train in place; the towers end as the moving average of their weights.

    Args:
        pair: Starts from the backbone, or from an earlier stage.
        data: Inputs and texts.
        checkpoint: Written at every measurement; a run that finds it goes on from there.
        config: Settings.
        log: Takes the stage and what was measured, before the checkpoint is written.
        progress: Draw a progress bar on stderr where that is a terminal.
    """
    seed_everything(config.seed)
    optimizer = torch.optim.AdamW(parameter_groups(pair, config), lr=config.lr)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    average = copy.deepcopy(pair)
    start = 0
    if checkpoint.exists():
        saved = load_saved(checkpoint)
        start = int(saved["step"])
        pair.load_state_dict(saved["pair"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
    generator = torch.Generator()
    batches = draw_crops(data, config.batch_size, config.seed, range(start, config.steps))
    with progress_bar("steps", config.steps, enabled=progress and rank() == 0) as advance:
        advance(start)
        for step, rows, crops in batches:
            generator.manual_seed(2**31 + step_seed(config.seed, step))
            torch.manual_seed(step_seed(config.seed, step))
            set_rates(optimizer, config, step)
            pair.train()
            loss = batch_loss(pair, data, config, rows, crops, generator)
            optimizer.zero_grad()
            loss.backward()
            sum_gradients(pair.shared_parameters())
            torch.nn.utils.clip_grad_norm_(trained, 5.0)
            optimizer.step()
            update_average(average, pair, average_decay(config.ema_decay, step))
            due = (step + 1) % config.measure_every == 0 or step + 1 == config.steps
            if due and rank() == 0:
                scale = round(pair.image.scale.item(), 1)
                figures = validate(average, data)
                log("pretrain", step=step + 1, loss=loss.item(), scale=scale, val=figures)
                state: dict[str, Any] = {"pair": pair.state_dict(), "step": step + 1}
                rest = {"average": average.state_dict(), "optimizer": optimizer.state_dict()}
                save_atomic({**state, **rest}, checkpoint)
            advance(1)
    pair.load_state_dict(average.state_dict())
    pair.eval()
