import csv
import json
import shutil

import numpy as np
import pytest

from tests.fakes import FakeEncoder
from tests.labelled_clips import COLOURS, write_colour, write_folders
from videomm import hub
from videomm.cache import TimelineCache
from videomm.config import TrainConfig
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.hub import load_model
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.training import classifier
from videomm.training.classifier import train_classifier
from videomm.training.labelled import read_labelled

CONFIG = TrainConfig(epochs=6)
NAMES = ("red", "green", "blue", "something")
ENCODER = FakeEncoder({name: np.eye(32)[5 + i] for i, name in enumerate(NAMES)}, 20.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = write_folders(tmp_path_factory.mktemp("clips"), ["red", "green"], 5)
    (folder / "red" / "broken.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return TimelineCache(tmp_path_factory.mktemp("timelines"))


@pytest.fixture
def pipeline(cache, monkeypatch):
    monkeypatch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
    return VideoPipeline(VideoModel(ENCODER), cache=cache, progress=False)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr("videomm.evaluation.figures.RESAMPLES", 20)


pytestmark = pytest.mark.usefixtures("few")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_leaves_a_model_with_its_figures(clips, pipeline, tmp_path):
    out = tmp_path / "deep" / "colours"
    metrics = train_classifier(read_labelled(clips), out, pipeline, TrainConfig(epochs=40))
    assert sorted(contents(out)) == sorted(classifier.FILES.values())
    assert metrics == json.loads((out / "metrics.json").read_text())
    assert metrics["measured_on"] == "test"
    assert metrics["clips_in"] == {"train": 6, "val": 2, "test": 2}
    assert metrics["counts"]["train"] == {"green": 3, "red": 3}
    assert metrics["figures"]["top1"]["value"] == 1.0
    assert metrics["majority"]["top1"]["value"] == 0.5
    assert metrics["zero_shot"]["top1"]["value"] <= 0.5
    assert metrics["gain"]["metric"] == "top1"
    assert [item["kind"] for item in metrics["skipped"]] == ["NotAVideoError"]
    assert (out / "labels.txt").read_text() == "green\nred\n"
    with (out / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    card = (out / "README.md").read_text()
    assert "\n# colours\n" in card
    assert "| top-1 | 1.000 [" in card
    assert "- 1 of the clips could not be read and was left out." in card
    model = load_model(str(out), "cpu")
    assert (model.name, model.labels, model.multi_label) == (str(out), ("green", "red"), False)
    own = VideoPipeline(model, cache=pipeline.cache, progress=False)
    said = own.classify(write_colour(tmp_path / "new.mp4", COLOURS["green"], 77))
    assert said.best.label == "green"
    assert said.model == str(out)
    assert said.warnings == ()
    with pytest.raises(InvalidInputError, match="was trained already"):
        train_classifier(read_labelled(clips), tmp_path / "more", own, CONFIG)


def test_several_labels_a_clip(clips, pipeline, tmp_path):
    write_folders(tmp_path / "clips", ["red", "green"], 6)
    table = ["path,labels"]
    for number in range(6):
        table.append(f"clips/red/{number}.mp4,red;blue")
        table.append(f"clips/green/{number}.mp4,{'green' if number else ''}")
    (tmp_path / "data.csv").write_text("\n".join(table))
    data = read_labelled(tmp_path / "data.csv")
    metrics = train_classifier(data, tmp_path / "out", pipeline, TrainConfig(epochs=60))
    assert list(metrics["figures"]) == ["mean_average_precision", "macro_f1", "calibration_error"]
    assert metrics["confusion"] is None
    assert metrics["figures"]["mean_average_precision"]["value"] > 0.9
    model = load_model(str(tmp_path / "out"), "cpu")
    assert model.multi_label
    said = VideoPipeline(model).classify(write_colour(tmp_path / "n.mp4", COLOURS["red"], 77))
    assert {item.label for item in said.labels if item.score > 0.5} == {"red", "blue"}


def stop_after(monkeypatch, calls, what):
    """Let a function of the run do its work so many times, then fail as a kill would."""
    module, name = what
    real, left = getattr(module, name), calls

    def stopping(*args, **kwargs):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, stopping)


@pytest.mark.parametrize("place", range(8))
def test_a_run_stopped_at_any_write_and_resumed_ends_the_same(
    place, clips, pipeline, tmp_path, monkeypatch
):
    data = read_labelled(clips)
    metrics = train_classifier(data, tmp_path / "whole" / "m", pipeline, CONFIG)
    what = [("write_text", n) for n in range(5)]
    what += [("keep_split", 0), ("write_model", 0), ("calibrate", 0)]
    name, calls = what[place]
    out = tmp_path / "cut" / "m"
    with monkeypatch.context() as patch:
        stop_after(patch, calls, (classifier, name))
        with pytest.raises(KeyboardInterrupt):
            train_classifier(data, out, pipeline, CONFIG)
    if place:
        with pytest.raises(ModelNotAvailableError):
            load_model(str(out), "cpu")
    assert train_classifier(data, out, pipeline, CONFIG, resume=True) == metrics
    assert contents(out) == contents(tmp_path / "whole" / "m")


def test_resume_of_a_whole_run_does_nothing(clips, pipeline, tmp_path, monkeypatch):
    data = read_labelled(clips)
    metrics = train_classifier(data, tmp_path / "m", pipeline, CONFIG, resume=True)
    monkeypatch.setattr(classifier, "read_clips", None)
    assert train_classifier(data, tmp_path / "m", pipeline, CONFIG, resume=True) == metrics


def test_what_a_resumed_run_must_keep(clips, pipeline, tmp_path, monkeypatch):
    folder = shutil.copytree(clips, tmp_path / "clips")
    out = tmp_path / "m"
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "calibrate", None)
        with pytest.raises(TypeError):
            train_classifier(read_labelled(folder), out, pipeline, CONFIG)
    with pytest.raises(InvalidInputError, match=r"began with train .* resume it with the same"):
        train_classifier(
            read_labelled(folder), out, pipeline, TrainConfig(epochs=6, seed=1), resume=True
        )
    write_colour(folder / "red" / "more.mp4", COLOURS["red"], 50)
    with pytest.raises(InvalidInputError, match="videos were added, removed or changed"):
        train_classifier(read_labelled(folder), out, pipeline, CONFIG, resume=True)
    train_classifier(read_labelled(folder), out, pipeline, CONFIG, force=True)
    assert load_model(str(out), "cpu").labels == ("green", "red")


def test_a_folder_of_somebody_else_is_left_alone(clips, pipeline, tmp_path):
    data, out = read_labelled(clips), tmp_path / "m"
    out.mkdir()
    (out / "README.md").write_text("mine")
    for options in ({}, {"resume": True}):
        with pytest.raises(InvalidInputError, match="exists and is not empty"):
            train_classifier(data, out, pipeline, CONFIG, **options)
    (out / "thesis.tex").touch()
    with pytest.raises(InvalidInputError, match=r"holds 'thesis.tex', which is no run's"):
        train_classifier(data, out, pipeline, CONFIG, force=True)
    with pytest.raises(InvalidInputError, match="resume or force, not both"):
        train_classifier(data, out, pipeline, CONFIG, force=True, resume=True)
    assert (out / "README.md").read_text() == "mine"


def test_a_label_without_a_readable_clip(clips, pipeline, tmp_path):
    folder = shutil.copytree(clips, tmp_path / "clips")
    (folder / "blue").mkdir()
    shutil.copy(folder / "red" / "broken.mp4", folder / "blue" / "one.mp4")
    with pytest.raises(InvalidInputError, match="no clip of 'blue' can be read"):
        train_classifier(read_labelled(folder), tmp_path / "m", pipeline, CONFIG)


def test_copies_with_other_labels_are_told(clips, pipeline, tmp_path):
    folder = shutil.copytree(clips, tmp_path / "clips")
    shutil.copy(folder / "red" / "0.mp4", folder / "green" / "copy.mp4")
    metrics = train_classifier(read_labelled(folder), tmp_path / "m", pipeline, CONFIG)
    assert (
        "1 clips are there as copies with other labels: one of them is wrong"
        in (metrics["warnings"])
    )
