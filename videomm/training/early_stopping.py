"""Training that stops when it no longer helps, and that a kill does not change."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol

import torch
from torch import nn

from videomm.config import FrameTrainConfig
from videomm.progress import progress_bar
from videomm.training.averaged import AveragedTraining, Model
from videomm.training.progress import load_saved, save_atomic

STEPS = 400
LEAST_GAIN = 1e-3  # of the validation loss, in nats, for an epoch to count as better
LEAST_EPOCHS, MOST_EPOCHS = 6, 100
LEAST_STEPS = 10  # of an epoch, where a pass over the videos is shorter


class Training(Protocol):
    """What `fit_epochs` goes on with.

    Attributes:
        kept: what is measured, and ends as it was in the best epoch.
    """

    @property
    def kept(self) -> nn.Module: ...

    def run_epoch(self, epoch: int) -> float:
        """Train for an epoch, counted from 1; returns the mean loss."""

    def val_loss(self) -> float:
        """The loss on what is not learned from."""

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""

    def restore(self, state: dict[str, Any], checkpoint: Path) -> None:
        """Go on from a state that was read from a checkpoint."""


def count_epochs(
    epochs: int | None,
    steps: int,
    total: int = STEPS,
    bounds: tuple[int, int] = (LEAST_EPOCHS, MOST_EPOCHS),
) -> int:
    """Epochs at most: as asked, or as many as `total` steps need in epochs of `steps`."""
    least, most = bounds
    return epochs or min(max(math.ceil(total / steps), least), most)


def plan_epochs(videos: int, config: FrameTrainConfig) -> tuple[int, int]:
    """Epochs at most, and steps of each: a pass over the videos, or `LEAST_STEPS` batches."""
    steps = max(LEAST_STEPS, math.ceil(videos / config.batch_size))
    return count_epochs(config.epochs, steps), steps


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """The last epoch whose validation loss was lower than all before by `LEAST_GAIN`."""
    best = 0
    for epoch, row in enumerate(history):
        if row["val_loss"] < history[best]["val_loss"] - LEAST_GAIN:
            best = epoch
    return best


def fit_epochs(
    training: Training, epochs: int, checkpoint: Path, *, progress: bool = False
) -> list[dict[str, float]]:
    """Train; `training.kept` ends as it was when its validation loss was least.

    The state before the first epoch counts, too. Training stops when a quarter of all epochs
    brought no better one (`best_epoch`).

    Args:
        training: that has not begun.
        epochs: at most.
        checkpoint: written after every epoch; a run that finds it goes on from there.
        progress: draw a progress bar on stderr where that is a terminal.

    Returns:
        The history, a row an epoch from 0: `epoch`, `train_loss` (none in the first) and
        `val_loss`.
    """
    patience = max(3, math.ceil(epochs / 4))
    history: list[dict[str, float]]
    if checkpoint.exists():
        saved = load_saved(checkpoint)
        training.restore(saved["training"], checkpoint)
        history, best = saved["history"], saved["best"]
    else:
        history = [{"epoch": 0, "val_loss": training.val_loss()}]
        best = copy.deepcopy(training.kept.state_dict())
    with progress_bar("epochs", epochs, enabled=progress) as advance:
        advance(len(history) - 1)
        while len(history) <= epochs and len(history) - 1 - best_epoch(history) < patience:
            epoch = len(history)
            loss = training.run_epoch(epoch)
            history.append({"epoch": epoch, "train_loss": loss, "val_loss": training.val_loss()})
            if best_epoch(history) == epoch:
                best = copy.deepcopy(training.kept.state_dict())
            state = {"training": training.state(), "history": history, "best": best}
            save_atomic(state, checkpoint)
            advance(1)
    training.kept.load_state_dict(best)
    return history


@dataclass
class _Averaged(Generic[Model]):
    """An `AveragedTraining` in epochs, of which the average is measured and kept."""

    trainer: AveragedTraining[Model]
    loss_of: Callable[[Model], float]
    steps: int

    @property
    def kept(self) -> Model:
        return self.trainer.average.eval()

    def run_epoch(self, epoch: int) -> float:
        with torch.random.fork_rng(devices=[]):
            return sum(self.trainer.take_step() for _ in range(self.steps)) / self.steps

    def val_loss(self) -> float:
        return self.loss_of(self.kept)

    def state(self) -> dict[str, Any]:
        return self.trainer.state()

    def restore(self, state: dict[str, Any], checkpoint: Path) -> None:
        self.trainer.restore(state, checkpoint)


def fit_stopping(
    trainer: AveragedTraining[Model],
    val_loss: Callable[[Model], float],
    epochs: int,
    checkpoint: Path,
    *,
    progress: bool = False,
) -> list[dict[str, float]]:
    """`fit_epochs` of a training whose average of weights is the result.

    On a CPU a resumed training ends with the same bits as an unbroken one.

    Args:
        trainer: its steps are a multiple of the epochs.
        val_loss: of the averaged model, in evaluation mode, on videos it does not learn from.
        epochs: at most.
        checkpoint: see `fit_epochs`.
        progress: draw a progress bar on stderr where that is a terminal.

    Returns:
        The history.

    Raises:
        InvalidInputError: the checkpoint is of other settings.
    """
    training = _Averaged(trainer, val_loss, trainer.steps // epochs)
    return fit_epochs(training, epochs, checkpoint, progress=progress)
