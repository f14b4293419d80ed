"""The image tower trained on labelled clips, from pixels.

The pictures are the thumbnails that timelines keep, so nothing is decoded twice. The text tower
stays as it is, and so do the statistics of batch normalisation, which few pictures would spoil.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, RandomResizedCrop, functional

from videomm.config import TrainConfig
from videomm.encoder import FrameEncoder, load_encoder
from videomm.models.video_model import VideoModel
from videomm.timeline import open_thumbnail
from videomm.training.clips import Clip
from videomm.training.early_stopping import best_epoch, count_epochs, fit_epochs
from videomm.training.export import write_encoder
from videomm.training.finetune import gather, label_vectors, losses_of, start_model, warmed_up
from videomm.training.pretrain import size_of
from videomm.training.pretrain_config import ImageStart
from videomm.training.progress import keep_freed_memory
from videomm.training.schedule import step_seed
from videomm.training.start import load_start
from videomm.training.towers import ImageTower

PICTURES = 2  # of a clip a step, others in every epoch
CHECK_PICTURES = 4  # of a clip in the validation of an epoch
STEPS = 120
EPOCHS = 3, 20  # at least, at most
# A step's share of the root mean square of each of the tower's tensors.
RATE = 3e-4
CROP = 0.5, 1.0  # share of a picture


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Clips as pictures.

    Attributes:
        pictures: M of JPEG files, in order of time.
        targets: float32 (M, L), 1 for the labels of a clip.
        weights: float32 (M,), of a clip in the loss; mean 1.
    """

    pictures: list[tuple[bytes, ...]]
    targets: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.pictures)


def gather_pictures(clips: Sequence[Clip], labels: Sequence[str]) -> PictureSet:
    """Clips that were read with their pictures, each label with the same weight in all."""
    same = gather(clips, labels)
    return PictureSet([clip.pictures for clip in clips], same.targets, same.weights)


def tune_image_tower(
    model: VideoModel,
    train: PictureSet,
    val: PictureSet,
    config: TrainConfig,
    folder: Path,
    checkpoint: Path,
    progress: bool = False,
) -> tuple[FrameEncoder, list[dict[str, float]]]:
    """Train an encoder's image tower so that clips are nearest to their labels.

    The loss is that of zero-shot classification of the mean of a clip's pictures. The tower ends
    as it was when its validation loss was least, which may be how it began.

    Args:
        model: of `start_model`; it stays as it is.
        train: clips to learn from.
        val: clips that choose the epoch.
        config: settings; the epochs are as many as `STEPS` need unless given.
        folder: where the encoder is written to.
        checkpoint: written after every epoch; a run that finds it goes on from there.
        progress: draw a progress bar on stderr where that is a terminal.

    Returns:
        The trained encoder as it is loaded from the folder, or the given one where nothing was
        gained; and the history, as `fit_epochs` gives it.

    Raises:
        InvalidInputError: the encoder's kind cannot be trained.
        ModelNotAvailableError: the encoder's weights cannot be had.
    """
    keep_freed_memory()
    encoder = model.encoder
    start = load_start(ImageStart(start=encoder.name))
    tower = ImageTower(cast(nn.Module, start.model.visual).to(encoder.device), None, encoder.dim)
    judge = start_model(
        model, model.labels, model.multi_label, replace(config, tune="head", fusion="none")
    )
    steps = math.ceil(len(train) / config.batch_size)
    epochs = count_epochs(config.epochs, steps, STEPS, EPOCHS)
    training = _PixelTraining(tower, judge, train, val, config, steps * epochs)
    history = fit_epochs(training, epochs, checkpoint, progress=progress)
    if best_epoch(history) == 0:
        return encoder, history
    write_encoder(folder, start.model.cpu(), start.config, start.preprocess, start.tokenizer)
    return load_encoder(f"local-dir:{folder}", encoder.device), history


class _PixelTraining:
    """Training of an image tower in place, in passes over clips; see `tune_image_tower`."""

    def __init__(
        self,
        tower: ImageTower,
        judge: VideoModel,
        train: PictureSet,
        val: PictureSet,
        config: TrainConfig,
        steps: int,
    ) -> None:
        self.tower, self.kept = tower, tower.visual
        self.judge, self.train, self.val, self.config = judge, train, val, config
        self.texts = label_vectors(judge, judge.labels, judge.multi_label)
        weights = list(self.kept.requires_grad_(True).parameters())
        rates = [config.lr * RATE * size_of(one) for one in weights]
        groups = [{"params": [p], "lr": rate} for p, rate in zip(weights, rates, strict=True)]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        self.schedule = warmed_up(self.optimizer, steps)

    def run_epoch(self, epoch: int) -> float:
        """One pass over the clips; returns the mean loss."""
        seed = step_seed(self.config.seed, epoch)
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))
        total = 0.0
        self.tower.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of crops and dropout
            for rows in order.split(self.config.batch_size):
                loss = self._loss(self.train, rows.tolist(), crop=True) / len(rows)
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.kept.parameters(), 5.0)
                self.optimizer.step()
                self.schedule.step()
                total += float(loss.detach()) * len(rows)
        return total / len(self.train)

    @torch.inference_mode()
    def val_loss(self) -> float:
        self.tower.eval()
        parts = torch.arange(len(self.val)).split(self.config.batch_size)
        return float(sum(self._loss(self.val, p.tolist(), crop=False) for p in parts)) / len(
            self.val
        )

    def state(self) -> dict[str, Any]:
        return {
            "tower": self.kept.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any], checkpoint: Path) -> None:
        self.kept.load_state_dict(state["tower"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def _loss(self, clips: PictureSet, rows: Sequence[int], *, crop: bool) -> Tensor:
        """Weighted sum of the losses of some clips."""
        size = self.judge.encoder.image_size
        number = PICTURES if crop else CHECK_PICTURES
        pixels = [
            picture
            for row in rows
            for picture in draw_pictures(clips.pictures[row], number, size, crop=crop)
        ]
        images = self.judge.encoder.preprocess(np.stack(pixels))
        embedded = self.tower.head(self.tower.pool(images)).view(len(rows), number, -1)
        device = embedded.device
        times = torch.zeros(embedded.shape[:2], dtype=torch.float64, device=device)
        logits = self.judge(embedded, times, self.texts)
        targets = clips.targets[list(rows)].to(device)
        losses = losses_of(logits, targets, self.judge.multi_label)
        return losses @ clips.weights[list(rows)].to(device)


def draw_pictures(
    pictures: Sequence[bytes], number: int, size: tuple[int, int], *, crop: bool
) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Pictures of a clip, one of each of as many equal parts of it.

    Args:
        pictures: JPEG files; where there are fewer than wanted, some come twice.
        number: how many.
        size: (height, width) of the result.
        crop: draw the picture within its part, and a random part of it; else the middle one, whole.

    Returns:
        uint8 (height, width, 3) RGB each.
    """
    within = torch.rand(number) if crop else torch.full((number,), 0.5)
    places = ((torch.arange(number) + within) * len(pictures) / number).long().tolist()
    bicubic = InterpolationMode.BICUBIC
    cut = RandomResizedCrop(size, scale=CROP, ratio=(0.5, 2.0), interpolation=bicubic)
    out = []
    for place in places:
        picture = open_thumbnail(pictures[place])
        part = cut(picture) if crop else functional.resize(picture, list(size), bicubic)
        out.append(np.asarray(part))
    return out
