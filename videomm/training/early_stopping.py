"""Training that stops when it no longer helps, and that a kill does not change."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import torch

from videomm.config import FrameTrainConfig
from videomm.progress import progress_bar
from videomm.training.averaged import AveragedTraining, Model
from videomm.training.finetune import LEAST_EPOCHS, MOST_EPOCHS, STEPS, best_epoch
from videomm.training.progress import load_saved, save_atomic

LEAST_STEPS = 10  # of an epoch, where a pass over the videos is shorter


def plan_epochs(videos: int, config: FrameTrainConfig) -> tuple[int, int]:
    """Epochs at most, and steps of each: a pass over the videos, or `LEAST_STEPS` batches."""
    steps = max(LEAST_STEPS, math.ceil(videos / config.batch_size))
    return config.epochs or min(max(math.ceil(STEPS / steps), LEAST_EPOCHS), MOST_EPOCHS), steps


def fit_stopping(
    trainer: AveragedTraining[Model],
    val_loss: Callable[[Model], float],
    epochs: int,
    checkpoint: Path,
    *,
    progress: bool = False,
) -> list[dict[str, float]]:
    """Train; the trainer's average ends as it was when its validation loss was least.

    The state before the first epoch counts, too. Training stops when a quarter of all epochs
    brought no better one (`best_epoch`). On a CPU a resumed training ends with the same bits as
    an unbroken one.

    Args:
        trainer: its steps are a multiple of the epochs.
        val_loss: of the averaged model, in evaluation mode, on videos it does not learn from.
        epochs: at most.
        checkpoint: written after every epoch; a run that finds it goes on from there.
        progress: draw a progress bar on stderr where that is a terminal.

    Returns:
        The history, a row an epoch from 0: `epoch`, `train_loss` (none in the first) and
        `val_loss`.

    Raises:
        InvalidInputError: the checkpoint is of other settings.
    """
    patience = max(3, math.ceil(epochs / 4))
    history: list[dict[str, float]] = [{"epoch": 0, "val_loss": val_loss(trainer.average.eval())}]
    best = copy.deepcopy(trainer.average.state_dict())
    if checkpoint.exists():
        state = load_saved(checkpoint)
        trainer.restore(state["training"], checkpoint)
        history, best = state["history"], state["best"]
    with progress_bar("epochs", epochs, enabled=progress) as advance:
        advance(len(history) - 1)
        while len(history) <= epochs and len(history) - 1 - best_epoch(history) < patience:
            epoch, steps = len(history), trainer.steps // epochs
            with torch.random.fork_rng(devices=[]):
                loss = sum(trainer.take_step() for _ in range(steps)) / steps
            value = val_loss(trainer.average.eval())
            history.append({"epoch": epoch, "train_loss": loss, "val_loss": value})
            if best_epoch(history) == epoch:
                best = copy.deepcopy(trainer.average.state_dict())
            state = {"training": trainer.state(), "history": history, "best": best}
            save_atomic(state, checkpoint)
            advance(1)
    trainer.average.load_state_dict(best)
    return history
