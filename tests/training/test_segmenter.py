import csv
import json
import shutil

import numpy as np
import pytest

from tests.fakes import FakeEncoder
from tests.labelled_clips import write_segments
from tests.training.test_classifier import contents, stop_after
from videomm import hub
from videomm.cache import TimelineCache
from videomm.config import FrameTrainConfig
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.evaluation.models import evaluate_segmenter
from videomm.hub import load_model
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.training import classifier, early_stopping, segmenter
from videomm.training.segment_data import read_segments
from videomm.training.segmenter import train_segmenter

CONFIG = FrameTrainConfig(epochs=2)
ENCODER = FakeEncoder(
    {name: np.eye(32)[5 + i] for i, name in enumerate(("red", "green", "something"))}, 20.0
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_segments(tmp_path_factory.mktemp("videos"), 5)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return TimelineCache(tmp_path_factory.mktemp("timelines"))


@pytest.fixture(scope="module")
def pipeline(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
        patch.setattr("videomm.evaluation.figures.RESAMPLES", 20)
        yield VideoPipeline(VideoModel(ENCODER), cache=cache, progress=False)


@pytest.fixture(scope="module")
def unbroken(table, pipeline, tmp_path_factory):
    """The folder of a whole run, and what it returned."""
    out = tmp_path_factory.mktemp("whole") / "m"
    return out, train_segmenter(read_segments(table), out, pipeline, CONFIG)


def test_a_run_leaves_a_model_that_segments(table, pipeline, tmp_path):
    out = tmp_path / "model"
    metrics = train_segmenter(read_segments(table), out, pipeline, FrameTrainConfig(epochs=12))
    assert sorted(contents(out)) == sorted(classifier.FILES.values())
    assert metrics == json.loads((out / "metrics.json").read_text())
    assert metrics["clips_in"] == {"train": 3, "val": 1, "test": 1}
    assert metrics["labels"] == ["green", "red", "background"]
    assert metrics["counts"]["train"] == {"green": 3, "red": 3, "background": 3}
    assert metrics["figures"]["accuracy"]["value"] > 0.8
    assert metrics["figures"]["f1@50"]["value"] > 0.9
    assert metrics["zero_shot"]["accuracy"]["value"] < 0.8
    assert metrics["warnings"][-1].endswith(
        "of the frames are in no segment and count as background"
    )
    assert sum(metrics["prior"]) == pytest.approx(1)
    assert (out / "labels.txt").read_text() == "green\nred\nbackground\n"
    with (out / "split.csv").open() as file:
        assert {row["labels"] for row in csv.DictReader(file)} == {"green;red"}
    assert "one at a time, with when each holds" in (out / "README.md").read_text()
    own = VideoPipeline(load_model(str(out), "cpu"), cache=pipeline.cache, progress=False)
    said = own.classify(table.parent / "0.mp4")
    assert [item.label for item in said.segments] == ["red", "green"]
    rows = [row for row in csv.DictReader(table.open()) if row["path"] == "0.mp4"]
    for segment, row in zip(said.segments, rows, strict=True):
        assert abs(segment.start - float(row["start"])) <= 0.5
    assert sum(item.score for item in said.labels) == pytest.approx(1)
    # The run's own figures come out again, for the one video that it did not learn from.
    again = evaluate_segmenter(read_segments(table), own, out)
    assert (again["clips"], again["left_out"]) == (1, 4)
    for key in ("figures", "zero_shot", "majority", "gain", "confusion", "videos"):
        assert again[key] == metrics[key]
    with pytest.raises(InvalidInputError, match="was trained already"):
        train_segmenter(read_segments(table), tmp_path / "more", own, CONFIG)


@pytest.mark.parametrize(
    ("module", "name", "calls"),
    [
        (classifier, "write_text", 1),
        (classifier, "write_text", 4),
        (classifier, "write_model", 0),
        (early_stopping, "save_atomic", 1),
        (segmenter, "calibrate_frames", 0),
    ],
)
def test_stopped_and_resumed_it_ends_the_same(
    module, name, calls, table, pipeline, unbroken, tmp_path, monkeypatch
):
    data, (whole, metrics) = read_segments(table), unbroken
    out = tmp_path / "m"
    with monkeypatch.context() as patch:
        stop_after(patch, calls, (module, name))
        with pytest.raises(KeyboardInterrupt):
            train_segmenter(data, out, pipeline, CONFIG)
    with pytest.raises(ModelNotAvailableError):
        load_model(str(out), "cpu")
    assert train_segmenter(data, out, pipeline, CONFIG, resume=True) == metrics
    assert contents(out) == contents(whole)
    assert train_segmenter(data, out, pipeline, CONFIG, resume=True) == metrics


def test_a_resumed_run_has_the_same_segments(table, pipeline, tmp_path, monkeypatch):
    copied = shutil.copytree(table.parent, tmp_path / "videos") / table.name
    with monkeypatch.context() as patch:
        patch.setattr(segmenter, "calibrate_frames", None)
        with pytest.raises(TypeError):
            train_segmenter(read_segments(copied), tmp_path / "m", pipeline, CONFIG)
    copied.write_text(copied.read_text().replace("red", "blue", 1))
    with pytest.raises(InvalidInputError, match=r"began with .* resume it with the same"):
        train_segmenter(read_segments(copied), tmp_path / "m", pipeline, CONFIG, resume=True)


def test_what_segments_cannot_teach_is_told(table, pipeline, tmp_path):
    rows = table.read_text().splitlines()
    rows = [row.replace(",,green", ",9,green") for row in rows]
    rows += ["0.mp4,100,101,green", "1.mp4,0.1,0.15,red"]
    (table.parent / "more.csv").write_text("\n".join(rows))
    metrics = train_segmenter(
        read_segments(table.parent / "more.csv"), tmp_path / "m", pipeline, CONFIG
    )
    text = "\n".join(metrics["warnings"])
    assert "1 segments, the first " in text
    assert "0.mp4 [100-101 s], begin after their video's end" in text
    assert "1.mp4 [0.1-0.15 s], are too short for a frame of their own" in text


def test_data_that_no_model_can_be_made_of(table, pipeline, tmp_path):
    whole = table.parent / "whole.csv"
    whole.write_text("path,label\n" + "".join(f"{n}.mp4,red\n" for n in range(5)))
    with pytest.raises(InvalidInputError, match="every frame has the label 'red'; add segments"):
        train_segmenter(read_segments(whole), tmp_path / "m", pipeline, CONFIG)


def test_data_that_do_not_fit_a_model(table, pipeline, tmp_path):
    covered = table.parent / "covered.csv"
    lines = [f"{n}.mp4,0,1,red\n{n}.mp4,1,,green\n" for n in range(5)]
    covered.write_text("path,start,end,label\n" + "".join(lines))
    train_segmenter(read_segments(covered), tmp_path / "m", pipeline, CONFIG)
    own = VideoPipeline(
        load_model(str(tmp_path / "m"), "cpu"), cache=pipeline.cache, progress=False
    )
    with pytest.raises(InvalidInputError, match=r"is in no segment, and .* not trained on 'back"):
        evaluate_segmenter(read_segments(table), own, tmp_path / "m")
    covered.write_text(covered.read_text().replace("green", "blue"))
    with pytest.raises(InvalidInputError, match="was not trained on the label 'blue'"):
        evaluate_segmenter(read_segments(covered), own, tmp_path / "m")
