"""The two towers meet: the text tower and the image tower's head, trained together.

A text tower that knows a sentence encoder alone is not made for captions. Here both sides learn
from each other, while the distillation loss on all text keeps open vocabulary where it is. The
trunk is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from videomm.training.distill import embed_ids, trim_padding
from videomm.training.losses import contrastive_loss, distillation_loss
from videomm.training.pairs import measure
from videomm.training.pretrain import (
    ImageTower,
    PretrainData,
    draw_crops,
    drop_features,
    embed_images,
    step_seed,
)
from videomm.training.progress import load_saved, report, save_atomic, seed_everything
from videomm.training.schedule import learning_rate
from videomm.training.text_tower import pooled_states


@dataclass(frozen=True)
class AlignConfig:
    """Settings of the alignment stage."""

    steps: int = 250
    batch_size: int = 384  # images, and as many texts
    open_texts: int = 96  # further texts a step, for the distillation loss alone
    lr: float = 2e-4
    head_lr_ratio: float = 2.0
    warmup_steps: int = 10
    distill_weight: float = 5.0
    label_weight: float = 1.0
    feature_dropout: float = 0.2  # of pooled features
    measure_every: int = 50
    seed: int = 0


@dataclass(frozen=True)
class AlignData:
    """What the alignment reads.

    Attributes:
        images: The pictures, and which texts are right for them.
        ids: Token ids of all texts (T, L).
        teacher: Sentence embeddings of all texts, float16 (T, 384).
        num_train_texts: The first so many texts may be trained on.
    """

    images: PretrainData
    ids: Tensor
    teacher: npt.NDArray[np.float16]
    num_train_texts: int


class TowerPair(nn.Module):
    """Both towers as one module, so that they are saved and averaged together."""

    def __init__(self, text: TextTransformer, image: ImageTower) -> None:
        super().__init__()
        self.text = text
        self.image = image

    def embed_texts(self, states: Tensor) -> Tensor:
        """Text states (N, 384) to the shared space (N, D), L2-normalised."""
        return F.normalize(states @ cast(Tensor, self.text.text_projection), dim=-1)


def validation_rows(data: PretrainData) -> Tensor:
    """Text rows that the validation questions use, sorted."""
    prompts = (rows.flatten() for _, _, rows in data.validation.labels.values())
    return torch.cat([data.validation.caption_rows.flatten(), *prompts]).unique()


@torch.no_grad()
def validate_pair(pair: TowerPair, data: AlignData) -> dict[str, float]:
    """The validation figures with the text tower's own embeddings."""
    rows = validation_rows(data.images)
    embedded = pair.embed_texts(embed_ids(pair.text, data.ids[rows]))
    texts = torch.zeros(len(data.ids), embedded.shape[1])
    texts[rows] = embedded
    images = embed_images(pair.image, data.images.val_images)
    return measure(images, texts, data.images.validation)


def states_by_length(tower: TextTransformer, ids: Tensor, chunk: int = 128) -> Tensor:
    """Text states (N, width) in order, computed in chunks of like length, so that a long caption
    does not pad all the others."""
    order = torch.argsort((ids != tower.pad_id).sum(1))
    parts = [pooled_states(tower, trim_padding(ids[rows])) for rows in order.split(chunk)]
    return torch.cat(parts)[torch.argsort(order)]


def label_texts(data: PretrainData, generator: torch.Generator) -> list[Tensor]:
    """For each label set, one randomly chosen prompt for every class."""
    return [
        labels.rows[:, int(torch.randint(labels.rows.shape[1], (1,), generator=generator))]
        for labels in data.label_sets
    ]


def align_loss(
    pair: TowerPair,
    data: AlignData,
    config: AlignConfig,
    images: Tensor,
    crops: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """The loss of one step on a batch of `draw_crops`."""
    source = data.images
    with torch.no_grad():
        pooled = pair.image.pool(crops)
    image = pair.image.head(drop_features(pooled, config.feature_dropout, generator))
    paired, positives = source.pairs.sample(images, 1, generator)
    prompts = label_texts(source, generator)
    extra = torch.randint(data.num_train_texts, (config.open_texts,), generator=generator)
    rows = torch.cat([paired, *prompts, extra])
    states = states_by_length(pair.text, data.ids[rows])
    texts = pair.embed_texts(states)
    scale = pair.image.scale
    loss = contrastive_loss(image, texts[: len(paired)], positives, scale)
    start = len(paired)
    for labels, prompt in zip(source.label_sets, prompts, strict=True):
        classes = labels.classes[images]
        known = classes >= 0
        logits = scale * image[known] @ texts[start : start + len(prompt)].T
        entropy = F.cross_entropy(logits, classes[known], reduction="sum") / len(images)
        loss = loss + config.label_weight * entropy
        start += len(prompt)
    target = torch.from_numpy(data.teacher[rows.numpy()]).float()
    return loss + config.distill_weight * distillation_loss(states, target)


def trained_groups(pair: TowerPair, config: AlignConfig) -> list[dict[str, object]]:
    """The head and the text tower but for its token table, which rare words live in."""
    for parameter in pair.parameters():
        parameter.requires_grad_(False)
    head = list(cast(nn.Module, pair.image.visual.head).parameters())
    text = [p for n, p in pair.text.named_parameters() if n != "token_embedding.weight"]
    for parameter in (*head, *text):
        parameter.requires_grad_(True)
    return [
        {"params": head, "ratio": config.head_lr_ratio, "weight_decay": 0.05},
        {"params": text, "ratio": 1.0, "weight_decay": 0.01},
    ]


def align(pair: TowerPair, data: AlignData, checkpoint: Path, config: AlignConfig) -> None:
    """Train both towers in place.

    Args:
        pair: The distilled text tower with its projection set, and the trained image tower.
        data: What it reads.
        checkpoint: Written at every measurement; a run that finds it goes on from there.
        config: Settings.
    """
    seed_everything(config.seed)
    groups = trained_groups(pair, config)
    trained = [p for p in pair.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(groups, lr=config.lr)
    start = 0
    if checkpoint.exists():
        saved = load_saved(checkpoint)
        pair.load_state_dict(saved["pair"])
        optimizer.load_state_dict(saved["optimizer"])
        start = int(saved["step"])
    else:
        report("align", step=0, val=validate_pair(pair, data))
    generator = torch.Generator()
    steps = range(start, config.steps)
    for step, images, crops in draw_crops(data.images, config.batch_size, config.seed, steps):
        generator.manual_seed(2**31 + step_seed(config.seed, step))
        torch.manual_seed(step_seed(config.seed, step))
        for group in optimizer.param_groups:
            rate = learning_rate(step, config.steps, config.lr, config.warmup_steps)
            group["lr"] = rate * group["ratio"]
        pair.eval()
        pair.text.train()
        cast(nn.Module, pair.image.visual.head).train()
        loss = align_loss(pair, data, config, images, crops, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 2.0)
        optimizer.step()
        if (step + 1) % config.measure_every == 0 or step + 1 == config.steps:
            report("align", step=step + 1, loss=loss.item(), val=validate_pair(pair, data))
            state = {"pair": pair.state_dict(), "optimizer": optimizer.state_dict()}
            save_atomic({**state, "step": step + 1}, checkpoint)
    pair.eval()
