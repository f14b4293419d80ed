import math
from contextlib import suppress

import pytest
import torch
from torch import nn

from videomm.config import FrameTrainConfig
from videomm.errors import InvalidInputError
from videomm.training.averaged import AveragedTraining
from videomm.training.early_stopping import fit_stopping, plan_epochs


class Pull(AveragedTraining[nn.Linear]):
    """Pulls a weight to 1; every step draws noise from torch's own generator."""

    def __init__(self, epochs, rate=0.05):
        model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(model.weight)
        group = {"params": list(model.parameters()), "peak": rate, "weight_decay": 0.0}
        super().__init__(
            model, [group], {"rate": rate}, steps=2 * epochs, warmup_steps=1, ema_decay=0.5
        )
        self.calls = 0

    def take_step(self):
        torch.manual_seed(self.step)
        loss = (self.model.weight - 1 + 0.1 * torch.randn(())).square().sum()
        self.update(loss)
        self.calls += 1
        return float(loss.detach())


def far_from(target):
    return lambda model: abs(float(model.weight.detach()) - target)


def test_the_best_epoch_is_kept_and_training_stops(tmp_path):
    trainer = Pull(20)
    history = fit_stopping(trainer, far_from(0.2), 20, tmp_path / "state.pt")
    losses = [row["val_loss"] for row in history]
    assert 5 < len(history) < 20
    assert far_from(0.2)(trainer.average) == min(losses)
    assert len(losses) - 1 - losses.index(min(losses)) == 5  # a quarter of the epochs
    assert trainer.calls == 2 * (len(history) - 1)
    assert "train_loss" not in history[0]


def test_nothing_learned_is_the_start(tmp_path):
    trainer = Pull(8)
    history = fit_stopping(trainer, far_from(-1), 8, tmp_path / "state.pt")
    assert len(history) == 4
    assert float(trainer.average.weight.detach()) == 0


@pytest.mark.parametrize("calls", range(0, 13, 3))
def test_killed_and_resumed_it_ends_the_same(tmp_path, calls, monkeypatch):
    whole = Pull(6)
    history = fit_stopping(whole, far_from(1), 6, tmp_path / "whole.pt")
    cut = Pull(6)
    step = cut.take_step

    def stopping():
        if cut.calls == calls:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(cut, "take_step", stopping)
    with suppress(KeyboardInterrupt):
        fit_stopping(cut, far_from(1), 6, tmp_path / "cut.pt")
    resumed = Pull(6)
    torch.rand(5)
    assert fit_stopping(resumed, far_from(1), 6, tmp_path / "cut.pt") == history
    assert torch.equal(resumed.average.weight, whole.average.weight)
    with pytest.raises(InvalidInputError, match="checkpoint of other settings"):
        fit_stopping(Pull(6, rate=0.1), far_from(1), 6, tmp_path / "cut.pt")


def test_epochs_are_passes_or_ten_batches():
    assert plan_epochs(20, FrameTrainConfig()) == (40, 10)
    assert plan_epochs(700, FrameTrainConfig()) == (6, 100)
    assert plan_epochs(140, FrameTrainConfig(epochs=3)) == (3, 20)
    assert plan_epochs(1, FrameTrainConfig(batch_size=1))[0] == math.ceil(400 / 10)
