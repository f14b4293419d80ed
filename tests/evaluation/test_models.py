import shutil

import numpy as np
import pytest

from tests.fakes import FakeEncoder
from tests.labelled_clips import write_folders
from videomm import hub
from videomm.cache import TimelineCache
from videomm.config import TrainConfig
from videomm.errors import InvalidInputError
from videomm.evaluation.models import evaluate_model
from videomm.hub import load_model
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.training.classifier import train_classifier
from videomm.training.labelled import read_labelled

ENCODER = FakeEncoder({n: np.eye(32)[5 + i] for i, n in enumerate(["red", "green", "blue"])}, 20.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("clips"), ["red", "green"], 5)


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.setattr("videomm.evaluation.figures.RESAMPLES", 20)
    monkeypatch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
    cache = TimelineCache(tmp_path / "cache")
    return VideoPipeline(VideoModel(ENCODER), cache=cache, progress=False)


@pytest.fixture
def trained(clips, pipeline, tmp_path):
    folder = tmp_path / "model"
    metrics = train_classifier(read_labelled(clips), folder, pipeline, TrainConfig(epochs=40))
    own = VideoPipeline(load_model(str(folder), "cpu"), cache=pipeline.cache, progress=False)
    return own, folder, metrics


def test_own_data_come_to_the_figures_of_the_run(trained, clips):
    own, folder, metrics = trained
    out = evaluate_model(read_labelled(clips), own, folder)
    assert (out["clips"], out["left_out"]) == (2, 8)
    assert out["model"] == str(folder)
    for key in ("figures", "zero_shot", "majority", "gain", "confusion"):
        assert out[key] == metrics[key]


def test_without_the_split_clips_that_were_trained_on_count_and_that_is_said(trained, clips):
    own, folder, _ = trained
    (folder / "split.csv").unlink()
    out = evaluate_model(read_labelled(clips), own, folder)
    assert (out["clips"], out["left_out"]) == (10, 0)
    assert "does not say which clips it was trained on" in out["warnings"][0]


def test_copies_of_trained_clips_are_left_out(trained, clips, tmp_path):
    own, folder, _ = trained
    copied = shutil.copytree(clips, tmp_path / "copies")
    assert evaluate_model(read_labelled(copied), own, folder)["left_out"] == 8
    with (folder / "split.csv").open() as file:
        lines = [line for line in file if ",train," in line]
    learned = tmp_path / "learned.csv"
    learned.write_text(
        "path,label\n" + "".join(f"{x.split(',')[0]},{x.split(',')[1]}\n" for x in lines)
    )
    with pytest.raises(InvalidInputError, match="all 6 clips were used to train"):
        evaluate_model(read_labelled(learned), own, folder)


def test_zero_shot_takes_the_labels_of_the_data(pipeline, clips):
    out = evaluate_model(read_labelled(clips), pipeline)
    assert (out["clips"], out["left_out"], out["zero_shot"]) == (10, 0, None)
    assert out["labels"] == ["green", "red"]
    assert out["majority"]["top1"]["value"] == 0.5


def test_clips_of_the_split_test_count(pipeline, clips, tmp_path):
    rows = [
        f"{clips}/{name}/{i}.mp4,{name},{'test' if i < 2 else 'train'}"
        for name in ("red", "green")
        for i in range(5)
    ]
    table = tmp_path / "data.csv"
    table.write_text("path,label,split\n" + "\n".join(rows))
    assert evaluate_model(read_labelled(table), pipeline)["clips"] == 4
    table.write_text(table.read_text().replace("test", "train"))
    with pytest.raises(InvalidInputError, match="has the split test"):
        evaluate_model(read_labelled(table), pipeline)


def test_data_that_do_not_fit_the_model(trained, clips, tmp_path):
    own, folder, _ = trained
    table = tmp_path / "data.csv"
    table.write_text(f"path,label\n{clips}/red/0.mp4,red\n{clips}/green/0.mp4,blue\n")
    with pytest.raises(InvalidInputError, match="was not trained on the label 'blue'"):
        evaluate_model(read_labelled(table), own, folder)
    table.write_text(f"path,labels\n{clips}/red/0.mp4,red\n")
    with pytest.raises(InvalidInputError, match="trained on clips with one label each"):
        evaluate_model(read_labelled(table), own, folder)
