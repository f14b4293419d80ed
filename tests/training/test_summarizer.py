import json

import numpy as np
import pytest

from tests.fakes import FakeEncoder
from tests.labelled_clips import write_ratings
from tests.training.test_classifier import contents, stop_after
from videomm import hub
from videomm.cache import TimelineCache
from videomm.config import FrameTrainConfig
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.evaluation.models import evaluate_summarizer
from videomm.hub import load_model
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.tasks.scenes import find_scenes
from videomm.tasks.summarize import frame_importance, rate_importance
from videomm.training import classifier, early_stopping, summarizer
from videomm.training.rating_data import read_ratings
from videomm.training.summarizer import train_summarizer

CONFIG = FrameTrainConfig(epochs=2)
ENCODER = FakeEncoder({"x": np.eye(32)[5]}, 20.0)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_ratings(tmp_path_factory.mktemp("rated"), 5)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    cache = TimelineCache(tmp_path_factory.mktemp("timelines"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
        patch.setattr("videomm.evaluation.figures.RESAMPLES", 20)
        yield VideoPipeline(VideoModel(ENCODER), cache=cache, progress=False)


@pytest.fixture(scope="module")
def unbroken(table, pipeline, tmp_path_factory):
    """The folder of a whole run, and what it returned."""
    out = tmp_path_factory.mktemp("whole") / "m"
    return out, train_summarizer(read_ratings(table), out, pipeline, CONFIG)


def test_a_run_leaves_a_model_that_rates(table, pipeline, tmp_path):
    out = tmp_path / "model"
    metrics = train_summarizer(read_ratings(table), out, pipeline, FrameTrainConfig(epochs=12))
    assert sorted(contents(out)) == sorted(classifier.FILES.values())
    assert metrics == json.loads((out / "metrics.json").read_text())
    assert metrics["clips_in"] == {"train": 3, "val": 1, "test": 1}
    assert metrics["warnings"] == []
    untrained, people = (metrics[key]["kendall_tau"]["value"] for key in ("untrained", "people"))
    assert untrained < metrics["figures"]["kendall_tau"]["value"] <= people
    card = (out / "README.md").read_text()
    for words in (
        "A model of what people find important in videos",
        "videomm summarize clip.mp4 --model MODEL",
        "| figure | this model | untrained | people's mean |",
        "Kendall's tau, on too few sources for an interval",
    ):
        assert words in card
    assert "## Labels" not in card
    own = VideoPipeline(load_model(str(out), "cpu"), cache=pipeline.cache, progress=False)
    timeline = own.embed(table.parent / "videos" / "v0.mp4")
    rated = rate_importance(timeline, find_scenes(timeline), own.model)
    # People like green.
    green = timeline.embeddings[:, 1] > timeline.embeddings[:, [0, 2]].max(axis=1)
    assert rated[green].min() > rated[~green].mean()
    again = evaluate_summarizer(read_ratings(table), own, out)
    assert (again["clips"], again["left_out"]) == (1, 4)
    for key in ("figures", "untrained", "people", "gain", "videos"):
        assert again[key] == metrics[key]
    with pytest.raises(InvalidInputError, match="was trained already"):
        train_summarizer(read_ratings(table), tmp_path / "more", own, CONFIG)


def test_before_it_learns_it_is_what_summaries_have(table, pipeline):
    timeline = pipeline.embed(table.parent / "videos" / "v0.mp4")
    scenes = find_scenes(timeline)
    assert (
        rate_importance(timeline, scenes, pipeline.model) == frame_importance(timeline, scenes)
    ).all()


@pytest.mark.parametrize(
    ("module", "name", "calls"),
    [
        (classifier, "write_text", 1),
        (classifier, "write_model", 0),
        (early_stopping, "save_atomic", 1),
        (summarizer, "measure_ratings", 0),
    ],
)
def test_stopped_and_resumed_it_ends_the_same(
    module, name, calls, table, pipeline, unbroken, tmp_path, monkeypatch
):
    data, (whole, metrics) = read_ratings(table), unbroken
    out = tmp_path / "m"
    with monkeypatch.context() as patch:
        stop_after(patch, calls, (module, name))
        with pytest.raises(KeyboardInterrupt):
            train_summarizer(data, out, pipeline, CONFIG)
    with pytest.raises(ModelNotAvailableError):
        load_model(str(out), "cpu")
    assert train_summarizer(data, out, pipeline, CONFIG, resume=True) == metrics
    assert contents(out) == contents(whole)


def test_videos_that_are_rated_alike_are_left_out_and_told(table, pipeline, tmp_path):
    rows = table.read_text().splitlines()
    flat = [row if "v0" not in row else "v0\tLI\t" + ",".join(["3"] * 15) for row in rows]
    changed = table.parent / "flat.tsv"
    changed.write_text("\n".join(flat))
    metrics = train_summarizer(read_ratings(changed), tmp_path / "m", pipeline, CONFIG)
    assert sum(metrics["clips_in"].values()) == 4
    assert metrics["warnings"][-1].startswith("1 videos are rated alike in all frames")
    changed.write_text("\n".join(f"v{n}\tLI\t3,3" for n in range(5)))
    with pytest.raises(InvalidInputError, match="no video in train or none in val has frames"):
        train_summarizer(read_ratings(changed), tmp_path / "n", pipeline, CONFIG)
