import json

import numpy as np
import pytest

from videomm.evaluation.segment_figures import FrameAnswers, SegmentTruth, measure_segments
from videomm.evaluation.segmentation import score_segmentation

RNG = np.random.default_rng(0)
NAMES = ["pour", "stir", "background"]
RIGHT = [np.repeat([0, 2, 1], size) for size in (4, 6, 8)]
TRUTH = SegmentTruth(RIGHT, np.array([0, 1, 2]), NAMES, 2)
PRIOR = np.array([0.2, 0.5, 0.3])


def answers(share):
    """Right in about that share of the frames."""
    labels, scores = [], []
    for right in RIGHT:
        said = np.where(RNG.random(len(right)) < share, right, (right + 1) % 3)
        values = np.full((len(right), 3), 0.1)
        values[np.arange(len(right)), said] = 0.8
        labels.append(said)
        scores.append(values)
    return FrameAnswers(labels, scores)


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr("videomm.evaluation.figures.RESAMPLES", 40)
    said, floor = answers(0.8), answers(0.3)
    return said, floor, measure_segments(said, TRUTH, prior=PRIOR, zero_shot=floor)


def test_figures_are_those_of_the_protocol(measured):
    said, floor, out = measured
    for key, given in (("figures", said), ("zero_shot", floor)):
        for name, value in score_segmentation(given.labels, RIGHT, 2).items():
            assert 100 * out[key][name]["value"] == pytest.approx(value)
    always = [np.full(len(right), 1) for right in RIGHT]
    for name, value in score_segmentation(always, RIGHT, 2).items():
        assert out["majority"][name] == {
            "value": pytest.approx(value / 100),
            "low": None,
            "high": None,
        }
    first = out["figures"]["accuracy"]
    assert first["low"] <= first["value"] <= first["high"]
    assert out["gain"]["metric"] == "accuracy"
    assert out["gain"]["value"] == pytest.approx(
        out["figures"]["accuracy"]["value"] - out["zero_shot"]["accuracy"]["value"]
    )


def test_frames_are_counted(measured):
    said, _, out = measured
    told, right = np.concatenate(said.labels), np.concatenate(RIGHT)
    for row, label in enumerate(range(3)):
        for column in range(3):
            assert out["confusion"][row][column] == ((right == label) & (told == column)).sum()
    assert [row["support"] for row in out["per_class"]] == [
        int((right == label).sum()) for label in range(3)
    ]
    # All confidences are 0.8.
    error = abs(0.8 - (told == right).mean())
    assert out["figures"]["calibration_error"]["value"] == pytest.approx(error)
    assert [row["accuracy"] for row in out["videos"]] == [
        pytest.approx((a == b).mean()) for a, b in zip(said.labels, RIGHT, strict=True)
    ]
    json.dumps(out, allow_nan=False)


def test_one_source_has_no_interval(monkeypatch):
    truth = SegmentTruth(RIGHT, np.zeros(3, int), NAMES, None)
    out = measure_segments(answers(1.0), truth, prior=PRIOR, zero_shot=answers(0.0))
    assert out["figures"]["edit"] == {"value": 1.0, "low": None, "high": None}
    assert out["gain"]["low"] is None
