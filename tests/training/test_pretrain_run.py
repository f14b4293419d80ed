"""Runs on a few generated pictures, from the file to an encoder that commands load."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.picture_pairs import write_albert, write_pairs
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.hub import load_model
from videomm.training import pretrain as loop
from videomm.training.pretrain_config import PretrainRunConfig
from videomm.training.pretrain_run import pretrain_on_pairs

STEPS = {"steps": 3, "batch_size": 6, "crop_size": 64, "measure_every": 1}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"), 20)


def settings(pairs, out, **more):
    return PretrainRunConfig.from_dict({"data": str(pairs), "out": str(out), "train": STEPS} | more)


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_files(pairs, tmp_path, monkeypatch):
    whole, cut = (settings(pairs, tmp_path / name / "m") for name in ("whole", "cut"))
    metrics = pretrain_on_pairs(whole)
    save, saves = loop.save_atomic, []

    def save_and_stop(value, path):
        save(value, path)
        saves.append(path)
        if len(saves) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_atomic", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain_on_pairs(cut)
    with pytest.raises(ModelNotAvailableError, match=r"no open_clip_config\.json"):
        load_model(cut.out)
    monkeypatch.undo()
    with pytest.raises(InvalidInputError, match="began with seed 0, now it is 1; resume it with"):
        pretrain_on_pairs(settings(pairs, cut.out, seed=1), resume=True)
    assert pretrain_on_pairs(cut, resume=True) == metrics
    assert pretrain_on_pairs(cut, resume=True) == metrics
    for name in os.listdir(whole.out):
        first, second = ((tmp_path / run / "m" / name).read_bytes() for run in ("whole", "cut"))
        assert first == second, name
    assert sorted(os.listdir(whole.out)) == sorted(os.listdir(cut.out))
    with pytest.raises(InvalidInputError, match="exists and is not empty; give --force"):
        pretrain_on_pairs(whole)
    made = Path(cut.out)
    rows = [json.loads(line) for line in (made / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[-1]["val"] == metrics["figures"]
    assert set(metrics["start"]) == set(metrics["figures"])
    assert metrics["counts"] == {"train": 18, "val": 2, "texts": 36, "val_texts": 4}
    card = (made / "README.md").read_text()
    assert "18 pictures with 36 texts to learn from" in card
    assert "| image to text, R@1 | " in card


@pytest.mark.slow
def test_a_text_model_with_random_weights_learns_beside_a_frozen_trunk(
    pairs, tmp_path, tiny, monkeypatch
):
    text = {"start": str(write_albert(tmp_path / "albert"))}
    config = settings(pairs, tmp_path / "m", text=text, image={"frozen": True})
    with pytest.raises(ModelNotAvailableError, match="or say weights = 'random' in "):
        pretrain_on_pairs(config)
    assert not (tmp_path / "m").exists()
    rates = {"train": STEPS | {"steps": 60, "text_lr": 3e-3, "lr": 1e-3, "measure_every": 60}}
    config = settings(
        pairs, tmp_path / "m", text=text | {"weights": "random"}, image={"frozen": True}, **rates
    )
    metrics = pretrain_on_pairs(config)
    assert metrics["parameters"]["text"] < 0.2 * metrics["parameters"]["image"]
    assert "random weights" in (tmp_path / "m" / "README.md").read_text()
    monkeypatch.chdir("/")
    encoder = load_model(str(tmp_path / "m")).encoder
    # The trunk is the one it started from, the text tower a new one.
    ours = encoder._model.visual.trunk.state_dict()
    for name, value in tiny._model.visual.trunk.state_dict().items():
        assert torch.allclose(ours[name].float(), value.float()), name
    vectors = encoder.encode_text(["a red square on blue", "blue ground, red square", "a dog"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    # An encoder made here can be the start of another run.
    again = settings(
        pairs, tmp_path / "n", image={"start": str(tmp_path / "m")}, text={"frozen": True}
    )
    metrics = pretrain_on_pairs(again)
    assert load_model(str(tmp_path / "n")).encoder.dim == encoder.dim
    assert metrics["start"] is not None


@pytest.mark.slow
def test_an_untrained_architecture(pairs, tmp_path):
    config = settings(pairs, tmp_path / "m", image={"weights": "random"})
    metrics = pretrain_on_pairs(config)
    assert metrics["start"] is None
    assert "here it had no trained weights" in (tmp_path / "m" / "README.md").read_text()
    for image, message in [
        ({"start": "nothing", "weights": "random"}, "no architecture 'nothing'"),
        ({"start": "nothing"}, "unknown model 'nothing'"),
    ]:
        with pytest.raises(ModelNotAvailableError, match=message):
            pretrain_on_pairs(settings(pairs, tmp_path / "n", image=image))
