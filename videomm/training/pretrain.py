"""Contrastive training of the image tower, from pixels, alone or together with the text tower.

At first the text side is frozen but for one linear map, the text tower's projection: so few images
can move the image tower towards the texts' space, not the texts' space itself. At the end both
towers learn from each other, and a distillation loss holds the text tower where it was, on texts
that have no picture as well, so that it keeps its open vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from videomm.towers.image import fold_trunk, run_trunk
from videomm.training.distill import embed_ids, trim_padding
from videomm.training.losses import contrastive_loss, distillation_loss, soft_target_loss
from videomm.training.pairs import LabelSet, Pairs, ValidationSet, measure
from videomm.training.progress import load_saved, report, save_atomic, seed_everything
from videomm.training.schedule import average_decay, learning_rate, update_average
from videomm.training.text_tower import pooled_states
from videomm.training.views import RandomCrops

MAX_SCALE = 100.0
CHUNK = 32  # images


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
    open_texts: int = 64  # further texts a step, for the distillation loss alone
    distill_weight: float = 5.0
    warmup_steps: int = 30
    weight_decay: float = 0.05
    feature_dropout: float = 0.2  # of pooled features
    soft_weight: float = 0.75
    label_weight: float = 1.0
    ema_decay: float = 0.99
    measure_every: int = 100
    seed: int = 0


class ImageTower(nn.Module):
    """open_clip's image tower, with the map of the text side.

    Args:
        visual: open_clip's ``TimmModel`` with the backbone's weights.
        text_width: Width of the text tower's states.
        embed_dim: Width of the shared space.
    """

    def __init__(self, visual: nn.Module, text_width: int, embed_dim: int) -> None:
        super().__init__()
        self.visual = visual
        # Orthonormal rows keep every cosine between texts as the text tower has it.
        self.text_map = nn.Parameter(torch.empty(text_width, embed_dim))
        nn.init.orthogonal_(self.text_map)
        self.log_scale = nn.Parameter(torch.tensor(20.0).log())
        self.log_soft_scale = nn.Parameter(torch.tensor(20.0).log())

    @property
    def scale(self) -> Tensor:
        """Inverse temperature of the contrastive loss."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def pool(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to pooled features (B, 1280).

        Batch norm with fixed statistics goes into the convolutions: training is a sixth faster on a
        CPU than with layers of their own.
        """
        images = images.float().contiguous(memory_format=torch.channels_last)
        steps = fold_trunk(self.visual.trunk)
        # Few images at a time stay nearer to the processor from layer to layer.
        return torch.cat([run_trunk(steps, part) for part in images.split(CHUNK)])

    def head(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, 1280) to embeddings (B, D), L2-normalised float32."""
        return F.normalize(self.visual.head(pooled).float(), dim=-1)  # type: ignore[operator]

    def map_text(self, states: Tensor) -> Tensor:
        """States of texts (T, 384) to the shared space (T, D), L2-normalised."""
        return F.normalize(states.float() @ self.text_map, dim=-1)


class TowerPair(nn.Module):
    """What is trained, as one module, so that it is saved and averaged together.

    Args:
        image: The image tower.
        text: The text tower; None where its states are given and stay as they are.
    """

    def __init__(self, image: ImageTower, text: TextTransformer | None = None) -> None:
        super().__init__()
        self.image = image
        self.text = text

    def text_states(self, data: PretrainData, rows: Tensor) -> Tensor:
        """States (N, 384) of rows (N,) of the text table."""
        if self.text is None:
            return data.states[rows]
        return states_by_length(self.text, data.ids[rows])


def states_by_length(tower: TextTransformer, ids: Tensor, chunk: int = 128) -> Tensor:
    """Text states (N, width) in order, computed in chunks of like length, so that a long caption
    does not pad all the others."""
    order = torch.argsort((ids != tower.pad_id).sum(1))
    parts = [pooled_states(tower, trim_padding(ids[rows])) for rows in order.split(chunk)]
    return torch.cat(parts)[torch.argsort(order)]


@dataclass(frozen=True)
class PretrainData:
    """Everything image training reads.

    Attributes:
        crops: The training pictures.
        val_images: The validation pictures, float16 (N, 3, H, W).
        logits: Another network's class logits of the training pictures, float16 (N, 1000).
        pairs: Texts of the training pictures.
        ids: Token ids of all texts (T, L).
        states: The text tower's states of all texts that are used, as it was before, float32
            (T, 384).
        open_rows: Which texts, with a picture or without, the text tower is held to.
        classes: States of the class names, float32 (1000, 384).
        label_sets: Labels of the training pictures, to be told apart within their set.
        validation: Questions about the validation pictures.
    """

    crops: RandomCrops
    val_images: Tensor
    logits: npt.NDArray[np.float16]
    pairs: Pairs
    ids: Tensor
    states: Tensor
    open_rows: Tensor
    classes: Tensor
    label_sets: Sequence[LabelSet]
    validation: ValidationSet


def drop_features(pooled: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Dropout on pooled features, float32 (B, 1280)."""
    keep = torch.rand(pooled.shape, generator=generator) >= share
    return pooled * keep / (1 - share)


@torch.no_grad()
def embed_images(tower: ImageTower, images: Tensor) -> Tensor:
    """Image embeddings float32 (N, D) of images (N, 3, H, W)."""
    tower.eval()
    return torch.cat([tower.head(tower.pool(part)) for part in images.split(256)])


def validate(pair: TowerPair, data: PretrainData) -> dict[str, float]:
    """The validation figures."""
    states = data.states
    if pair.text is not None:
        prompts = [rows.flatten() for _, _, rows in data.validation.labels.values()]
        used = torch.cat([data.validation.caption_rows.flatten(), *prompts]).unique()
        states = torch.zeros_like(states)
        states[used] = embed_ids(pair.text, data.ids[used])
    with torch.no_grad():
        texts = pair.image.map_text(states)
    return measure(embed_images(pair.image, data.val_images), texts, data.validation)


def parameter_groups(pair: TowerPair, config: PretrainConfig) -> list[dict[str, object]]:
    """Head, text map and scales, the trunk, and the text tower but for its token table, which rare
    words live in.

    The sizes of the trunk's tensors differ by a factor of a hundred. Adam moves every weight by
    about its learning rate, so each tensor has a rate of its own size.
    """
    tower = pair.image
    trunk = list(tower.visual.trunk.parameters())  # type: ignore[union-attr]
    head = list(tower.visual.head.parameters())  # type: ignore[union-attr]
    scales = [tower.log_scale, tower.log_soft_scale]
    text: list[nn.Parameter] = []
    if pair.text is not None:
        left_out = ("token_embedding.weight", "text_projection")  # the map is the projection
        text = [p for name, p in pair.text.named_parameters() if name not in left_out]

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
        group(text, config.text_lr, 0.01),
        *(group([p], config.trunk_lr * size_of(p), first_step=config.trunk_start) for p in trunk),
    ]


def size_of(parameter: Tensor) -> float:
    """Root mean square of its elements."""
    return float(parameter.detach().square().mean().sqrt())


def step_seed(seed: int, step: int) -> int:
    """Seeded a step, not a run, so that a resumed run draws what an unbroken one does."""
    return seed * 1_000_003 + step


def draw_crops(
    data: PretrainData, batch_size: int, seed: int, steps: range
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """A batch a step: the step, image numbers (B,), crops float32 (B, 3, H, W)."""
    number = len(data.pairs.text_rows)
    rows = [
        torch.randperm(number, generator=torch.Generator().manual_seed(step_seed(seed, step)))
        for step in steps
    ]
    rows = [order[:batch_size] for order in rows]
    keys = [
        [(row, batch_size * step + i) for i, row in enumerate(batch.tolist())]
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
    pooled = drop_features(tower.pool(crops), config.feature_dropout, generator)
    image = tower.head(pooled)
    texts, positives = data.pairs.sample(rows, config.texts_per_image, generator)
    prompts = [one_prompt(labels, generator) for labels in data.label_sets]
    extra = torch.randint(len(data.open_rows), (config.open_texts,), generator=generator)
    parts = [texts, *prompts, data.open_rows[extra]]
    needed, place = torch.cat(parts).unique(return_inverse=True)
    states = pair.text_states(data, needed)
    embedded = tower.map_text(states)[place].split([len(part) for part in parts])
    loss = contrastive_loss(image, embedded[0], positives, tower.scale)
    target = torch.from_numpy(data.logits[rows.numpy()]).float().softmax(1)
    soft_scale = tower.log_soft_scale.exp().clamp(max=MAX_SCALE)
    soft = soft_target_loss(image, tower.map_text(data.classes), target, soft_scale)
    loss = loss + config.soft_weight * soft
    for labels, names in zip(data.label_sets, embedded[1:-1], strict=True):
        classes = labels.classes[rows]
        known = classes >= 0
        logits = tower.scale * image[known] @ names.T
        entropy = F.cross_entropy(logits, classes[known], reduction="sum") / len(rows)
        loss = loss + config.label_weight * entropy
    if pair.text is not None:
        loss = loss + config.distill_weight * distillation_loss(states, data.states[needed])
    return loss


def one_prompt(labels: LabelSet, generator: torch.Generator) -> Tensor:
    """Text rows of all labels of a set in one of the prompts: as zero-shot classification asks."""
    return labels.rows[:, int(torch.randint(labels.rows.shape[1], (1,), generator=generator))]


def pretrain(pair: TowerPair, data: PretrainData, checkpoint: Path, config: PretrainConfig) -> None:
    """Train in place; the towers end as the moving average of their weights.

    Args:
        pair: Starts from the backbone, or from an earlier stage.
        data: Inputs and texts.
        checkpoint: Written at every measurement; a run that finds it goes on from there.
        config: Settings.
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
    steps = range(start, config.steps)
    for step, rows, crops in draw_crops(data, config.batch_size, config.seed, steps):
        generator.manual_seed(2**31 + step_seed(config.seed, step))
        torch.manual_seed(step_seed(config.seed, step))
        for group in optimizer.param_groups:
            since = step - group["first_step"]
            total = config.steps - group["first_step"]
            rate = learning_rate(since, total, group["peak"], config.warmup_steps)
            group["lr"] = rate if since >= 0 else 0.0
        pair.train()
        pair.image.eval()  # batch norm keeps the statistics of the many pictures it was trained on
        pair.image.visual.head.train()  # type: ignore[union-attr]
        loss = batch_loss(pair, data, config, rows, crops, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        update_average(average, pair, average_decay(config.ema_decay, step))
        if (step + 1) % config.measure_every == 0 or step + 1 == config.steps:
            scale = round(pair.image.scale.item(), 1)
            figures = validate(average, data)
            report("pretrain", step=step + 1, loss=loss.item(), scale=scale, val=figures)
            state = {"pair": pair.state_dict(), "average": average.state_dict()}
            rest = {"optimizer": optimizer.state_dict(), "step": step + 1}
            save_atomic({**state, **rest}, checkpoint)
    pair.load_state_dict(average.state_dict())
    pair.eval()
