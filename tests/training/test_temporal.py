"""Training of the temporal Transformer on toy shots: the same bits again, and a gain."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from videomm import hub
from videomm.errors import InvalidInputError
from videomm.hub import load_model
from videomm.models.temporal import TemporalConfig, TemporalTransformer
from videomm.training import temporal as module
from videomm.training.image_data import ALL_SETS
from videomm.training.shots import CAPTIONS, Shots, draw_batch
from videomm.training.temporal import (
    TemporalTraining,
    attend_to_alike,
    composition_loss,
    fit_temporal,
    main,
    parameter_groups,
)

from .test_shots import ROWS, Archive, MeanColours

DIM = 32
SHAPE = TemporalConfig(dim=DIM, num_heads=2, num_layers=1, mlp_ratio=1.0)
QUICK = TemporalTraining(steps=6, batch_size=4, warmup_steps=1, save_every=2)


def toy_shots(number: int = 40, seed: int = 0) -> Shots:
    """Pictures whose captions share only the first half of their directions with them."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    meaning = draw(number, 1, DIM)
    meaning[..., DIM // 2 :] = 0
    look = draw(number, 1, DIM)
    look[..., : DIM // 2] = 0
    paths = meaning + look + 0.3 * draw(number, 3, DIM)
    captions = meaning + 0.3 * draw(number, CAPTIONS, DIM)
    unit = torch.nn.functional.normalize
    return Shots(unit(paths, dim=-1), unit(captions, dim=-1), f"toy{seed}")


SHOTS = toy_shots()


def weights(model: TemporalTransformer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_it_starts_as_the_identity_that_attends_to_what_is_alike() -> None:
    model = TemporalTransformer(SHAPE).eval()
    attend_to_alike(model)
    batch = draw_batch(SHOTS, 0, range(3))
    context = model(batch.embeddings, batch.times, batch.mask)
    assert torch.allclose(context.frames, batch.embeddings, atol=1e-6)
    query, key, value = model.blocks[0].qkv.weight.split(DIM)  # type: ignore[union-attr, operator]
    assert torch.equal(query, key)
    assert torch.allclose(value @ value.T, torch.eye(DIM), atol=1e-5)


def test_the_loss_is_what_it_says() -> None:
    model = TemporalTransformer(SHAPE).eval()
    batch = draw_batch(SHOTS, 0, range(3))
    frames = batch.embeddings[batch.mask].double().numpy()
    captions, shown = batch.captions.double().numpy(), batch.shown.numpy()
    logits = 5 * frames @ captions.T
    to_caption = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    to_frames = logits - np.log(np.exp(logits).sum(0, keepdims=True))
    share = shown / shown.sum(0, keepdims=True)
    expected = -(to_caption[shown].mean() + (share * to_frames).sum(0).mean()) / 2
    for row, mask in zip(range(3), batch.mask, strict=True):
        mean = batch.embeddings[row, mask].double().mean(0)
        sims = 5 * (mean / mean.norm()).numpy() @ captions.T
        right = sims[batch.dominant[row]]
        expected += 0.7 / 3 * (np.log(np.exp(sims).sum()) - right)
    assert composition_loss(model, batch, 5.0, 0.7).item() == pytest.approx(expected, rel=1e-4)


def test_last_layers_have_a_rate_of_their_own() -> None:
    model = TemporalTransformer(SHAPE)
    first, last = parameter_groups(model, TemporalTraining(lr=1e-3, last_lr=1e-4))
    block = model.blocks[0]
    own = [block.out.weight, block.out.bias, block.down.weight, block.down.bias]  # type: ignore[union-attr]
    assert {id(p) for p in last["params"]} == {id(p) for p in own}  # type: ignore[attr-defined]
    assert len(first["params"]) + 4 == len(list(model.parameters()))  # type: ignore[arg-type]
    assert (first["peak"], last["peak"]) == (1e-3, 1e-4)
    assert first["weight_decay"] * first["peak"] == pytest.approx(last["weight_decay"] * 1e-4)  # type: ignore[operator]


def test_same_seed_same_weights_and_nothing_else_is_touched() -> None:
    first = fit_temporal(SHOTS, SHAPE, 10.0, QUICK)
    torch.rand(7)
    state = torch.get_rng_state()
    again = fit_temporal(SHOTS, SHAPE, 10.0, QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(first), weights(again))
    assert not first.training
    other = fit_temporal(SHOTS, SHAPE, 10.0, dataclasses.replace(QUICK, seed=1))
    assert not torch.equal(weights(first), weights(other))


def test_a_stopped_run_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fit_temporal(SHOTS, SHAPE, 10.0, QUICK)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    path = tmp_path / "state.pt"
    take_step, taken = module._Trainer.take_step, []

    def killed(self: module._Trainer) -> float:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(self.step)
        return take_step(self)

    monkeypatch.setattr(module._Trainer, "take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_temporal(SHOTS, SHAPE, 10.0, QUICK, path)
    monkeypatch.undo()
    resumed = fit_temporal(SHOTS, SHAPE, 10.0, QUICK, path)
    assert taken == [0, 1, 2]
    assert torch.equal(weights(resumed), weights(whole))
    for wrong in (dataclasses.replace(QUICK, lr=1.0), QUICK):
        shots = SHOTS if wrong is not QUICK else toy_shots(seed=1)
        with pytest.raises(InvalidInputError, match="checkpoint of other settings: remove it"):
            fit_temporal(shots, SHAPE, 10.0, wrong, path)


def test_settings_name_what_is_wrong() -> None:
    with pytest.raises(InvalidInputError, match="at least 1, got 0, 32 and 50"):
        TemporalTraining(steps=0)


@pytest.mark.slow
def test_it_learns_what_carries_over_to_other_pictures() -> None:
    held_out = draw_batch(toy_shots(60, seed=9), 0, range(30))
    config = TemporalTraining(steps=60, batch_size=16, lr=1e-3, last_lr=3e-4)
    trained = fit_temporal(toy_shots(300), SHAPE, 10.0, config)
    with torch.no_grad():
        before, after = (
            composition_loss(model, held_out, 10.0, 0.5).item()
            for model in (TemporalTransformer(SHAPE).eval(), trained)
        )
    assert after < before - 0.1


class ToyEncoder(MeanColours):
    """What a `VideoModel` asks of an encoder."""

    name, fingerprint, logit_scale, logit_bias = "toy", "0", 10.0, None
    device = torch.device("cpu")


@pytest.fixture
def toy_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of 9 train and 9 val pictures, and a hub that knows only the toy encoder."""
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    lines = []
    with tarfile.open(folder / "flickr8k.tar", "w") as tar:
        for split in ("train", "val"):
            for row in ROWS:
                buffer = io.BytesIO()
                Archive().read(row).save(buffer, "PNG")
                member = tarfile.TarInfo(f"{split}{row.file}.png")
                member.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(member, buffer)
                raw = {"file": member.name, "split": split, "captions": list(row.captions)}
                lines.append(json.dumps(raw))
    for name in ALL_SETS:
        (folder / f"{name}.jsonl").write_text("\n".join(lines) if name == "flickr8k" else "")
    monkeypatch.setattr(hub, "load_encoder", lambda name, device: ToyEncoder())
    monkeypatch.setattr(module, "WATCHED", 6)
    monkeypatch.setattr(module, "COMPARED", 6)
    monkeypatch.setattr(module, "TemporalTraining", partial(TemporalTraining, steps=4))
    return tmp_path / "data"


def test_one_command_writes_a_model_in_half_precision(
    toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["--data", str(toy_data), "--work", str(tmp_path / "work"), "--out", str(out)]
    assert main(call) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    stages = ["paths", "captions", "approximation", "untrained", "temporal", "saved"]
    assert [line["stage"] for line in lines] == stages
    model = load_model(str(out), "cpu")
    assert all(torch.equal(p, p.half().float()) for p in model.temporal.parameters())
    assert model.temporal.config.num_layers == 2
    assert lines[-1]["untrained"] == lines[3]["val"]
    with pytest.raises(SystemExit):
        main(call)
    assert "exists; give a new folder or remove it first" in capsys.readouterr().err
