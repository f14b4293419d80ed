"""A small training whose result is the moving average of its weights, and that can be resumed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from videomm.errors import InvalidInputError
from videomm.training.progress import load_saved, save_atomic
from videomm.training.schedule import average_decay, learning_rate, update_average

Model = TypeVar("Model", bound=nn.Module)


class AveragedTraining(Generic[Model]):
    """The state of one training: what a checkpoint holds.

    Args:
        model: trained in place.
        groups: AdamW's parameter groups, each with the ``peak`` of its learning rate.
        settings: plain values that decide the result; a checkpoint of others is refused.
        steps: in all.
        warmup_steps: until the peak.
        ema_decay: of the averaged weights.

    Attributes:
        step: how many steps have been taken.
        average: the averaged model.
    """

    def __init__(
        self,
        model: Model,
        groups: list[dict[str, Any]],
        settings: dict[str, Any],
        *,
        steps: int,
        warmup_steps: int,
        ema_decay: float,
    ) -> None:
        self.model, self.settings, self.step = model, settings, 0
        self.steps, self.warmup_steps, self.ema_decay = steps, warmup_steps, ema_decay
        self.average = copy.deepcopy(model)
        self.optimizer = torch.optim.AdamW(groups)

    def take_step(self) -> float:
        """Draw a batch, and `update` the model with it.

        Returns:
            The loss.
        """
        raise NotImplementedError

    def update(self, loss: Tensor) -> None:
        """One step down a loss of the model."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            peak = group["peak"]
            group["lr"] = learning_rate(self.step, self.steps, peak, self.warmup_steps)
        self.optimizer.step()
        update_average(self.average, self.model, average_decay(self.ema_decay, self.step))
        self.step += 1

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on from here."""
        return {
            "settings": self.settings,
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Go on from a state that was read from a checkpoint.

        Raises:
            InvalidInputError: it is of other settings.
        """
        if state["settings"] != self.settings:
            raise InvalidInputError(
                f"{path} is a checkpoint of other settings: remove it, or train with its own"
            )
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        save_atomic(self.state(), path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; see `restore`."""
        self.restore(load_saved(path), path)
