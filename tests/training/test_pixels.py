import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tests.labelled_clips import write_folders
from videomm.cache import TimelineCache
from videomm.config import TrainConfig
from videomm.evaluation.models import evaluate_model
from videomm.hub import load_model
from videomm.pipeline import VideoPipeline
from videomm.training import classifier, early_stopping, pixels
from videomm.training.classifier import train_classifier
from videomm.training.finetune import start_model
from videomm.training.labelled import read_labelled
from videomm.training.pixels import draw_pictures, tune_image_tower

CONFIG = TrainConfig(tune="all", epochs=2, batch_size=4)


def jpeg(level):
    data = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), level, np.uint8)).save(data, "JPEG")
    return data.getvalue()


LEVELS = [jpeg(level) for level in (0, 50, 100, 150, 200, 250)]


def test_whole_pictures_are_the_middles_of_equal_parts():
    shown = draw_pictures(LEVELS, 3, (8, 10), crop=False)
    assert [picture.shape for picture in shown] == [(8, 10, 3)] * 3
    assert [round(float(picture.mean())) for picture in shown] == [50, 150, 250]


def test_drawn_pictures_are_each_of_its_own_part_and_the_same_for_the_same_seed():
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        first, second = draw_pictures(LEVELS, 2, (8, 10), crop=True)
        torch.manual_seed(seed)
        again = draw_pictures(LEVELS, 2, (8, 10), crop=True)
        assert np.array_equal([first, second], again)
        levels = round(float(first.mean())), round(float(second.mean()))
        assert levels[0] <= 100 < levels[1]
        seen.add(levels)
    assert len(seen) > 3


def test_a_clip_of_one_picture_gives_it_as_often_as_wanted():
    assert len(draw_pictures(LEVELS[:1], 4, (8, 8), crop=True)) == 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("clips"), ["red", "green"], 5)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return TimelineCache(tmp_path_factory.mktemp("timelines"))


@pytest.fixture
def pipeline(cache):
    return VideoPipeline(load_model("tiny", "cpu"), cache=cache, progress=False)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr("videomm.evaluation.figures.RESAMPLES", 20)


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_the_image_tower_learns_goes_with_its_model_and_survives_kills(
    clips, pipeline, tmp_path, monkeypatch
):
    data, out = read_labelled(clips), tmp_path / "run"
    metrics = train_classifier(data, out, pipeline, CONFIG)
    losses = [row["val_loss"] for row in metrics["image_tower"]["history"]]
    best = metrics["image_tower"]["epoch"]
    assert best > 0
    assert losses[best] < losses[0] - early_stopping.LEAST_GAIN
    # The second training begins where the first one ended, with all frames of each clip.
    assert metrics["history"][0]["val_loss"] == pytest.approx(losses[best], abs=0.1)
    config = json.loads((out / "config.json").read_text())
    assert (config["encoder"], config["own_encoder"]) == ("encoder", True)
    assert not list(out.glob("*.pt"))
    assert f"<td>{best} of 2</td>" in (out / "report.html").read_text()
    assert "An image tower that was trained from pixels" in (out / "README.md").read_text()
    moved = tmp_path / "elsewhere"
    shutil.copytree(out, moved)
    clip = next(clips.rglob("*.mp4"))
    scores = []
    for folder in (out, moved):
        result = VideoPipeline(load_model(str(folder), "cpu"), progress=False).classify(clip)
        scores.append([(item.label, item.score) for item in result.labels])
    assert scores[0] == scores[1]
    for path in clips.rglob("*.mp4"):
        shutil.copy(path, tmp_path / f"{path.parent.name}_{path.name}")
    rows = [f"{path},{path.name.split('_')[0]}" for path in sorted(tmp_path.glob("*.mp4"))]
    (tmp_path / "all.csv").write_text("\n".join(["path,label", *rows[:3], *rows[-3:]]) + "\n")
    everything = read_labelled(tmp_path / "all.csv")
    (out / "split.csv").rename(tmp_path / "split.csv")  # as of another's model
    own = VideoPipeline(load_model(str(out), "cpu"), cache=pipeline.cache, progress=False)
    figures = evaluate_model(everything, own, out)
    first = evaluate_model(everything, pipeline)
    assert figures["zero_shot"]["top1"]["value"] == first["figures"]["top1"]["value"]
    (tmp_path / "split.csv").rename(out / "split.csv")
    # The tower of the package stays as it is.
    assert load_model("tiny", "cpu").encoder.id == pipeline.model.encoder.id
    assert train_classifier(data, out, pipeline, CONFIG, resume=True) == metrics

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    killed = tmp_path / "killed" / "run"
    second_start = _second(classifier.start_model, stop)
    for module, name, stopped in (
        (pixels, "write_encoder", stop),
        (classifier, "start_model", second_start),
        (classifier, "calibrate", stop),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, stopped)
            with pytest.raises(KeyboardInterrupt):
                train_classifier(data, killed, pipeline, CONFIG, resume=True)
        assert not (killed / "config.json").exists()
    train_classifier(data, killed, pipeline, CONFIG, resume=True)
    before, after = contents(out), contents(killed)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def _second(real, stop):
    """The real function the first time, `stop` afterwards."""
    calls = []

    def call(*args):
        calls.append(args)
        return real(*args) if len(calls) == 1 else stop()

    return call


@pytest.mark.slow
def test_a_tower_that_gains_nothing_stays_the_encoders_own(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "best_epoch", lambda history: 0)
    some = pixels.PictureSet([(LEVELS[0],), (LEVELS[5],)], torch.eye(2), torch.ones(2))
    start = start_model(pipeline.model, ["black", "white"], False, CONFIG)
    once = TrainConfig(tune="all", epochs=1)
    encoder, history = tune_image_tower(
        start, some, some, once, tmp_path / "encoder", tmp_path / "image_tower.pt"
    )
    assert encoder is pipeline.model.encoder
    assert [row["epoch"] for row in history] == [0, 1]
    assert not (tmp_path / "encoder").exists()
