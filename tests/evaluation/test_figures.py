import numpy as np
import pytest

from videomm.evaluation import figures
from videomm.evaluation.figures import Truth, measure


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(figures, "RESAMPLES", 50)


def single(classes, labels, sources=None):
    right = np.eye(len(labels), dtype=bool)[classes]
    sources = np.arange(len(classes)) if sources is None else np.array(sources)
    return Truth(right, sources, labels, multi_label=False)


SCORES = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])


def test_figures_of_single_labels():
    out = measure(SCORES, single([0, 1, 1, 2], "abc"), prior=np.array([0.2, 0.5, 0.3]))
    assert list(out["figures"]) == [
        "top1",
        "mean_average_precision",
        "macro_f1",
        "calibration_error",
    ]
    top = out["figures"]["top1"]
    assert top["value"] == 0.75
    assert top["low"] <= 0.75 <= top["high"]
    assert out["figures"]["macro_f1"]["value"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert out["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert [row["label"] for row in out["per_class"]] == ["a", "b", "c"]
    assert out["majority"]["top1"] == {"value": 0.5, "low": None, "high": None}
    assert (out["zero_shot"], out["gain"]) == (None, None)
    bars = out["reliability"]
    assert sum(bar["answers"] for bar in bars) == 4
    error = sum(bar["answers"] / 4 * abs(bar["accuracy"] - bar["confidence"]) for bar in bars)
    assert out["figures"]["calibration_error"]["value"] == pytest.approx(error)


def test_top5_where_there_are_more_labels():
    scores = np.tile(np.arange(7.0)[::-1] / 21, (7, 1))
    out = measure(scores, single(np.arange(7), "abcdefg"), prior=np.ones(7) / 7)
    assert out["figures"]["top5"]["value"] == pytest.approx(5 / 7)
    assert out["majority"]["top1"]["value"] == pytest.approx(1 / 7)


def test_gain_is_paired():
    truth = single([0, 1, 1, 2], "abc")
    worse = SCORES[:, [1, 0, 2]]
    out = measure(SCORES, truth, prior=np.ones(3) / 3, zero_shot=worse)
    assert out["gain"]["metric"] == "top1"
    assert out["gain"]["value"] == pytest.approx(
        out["figures"]["top1"]["value"] - out["zero_shot"]["top1"]["value"]
    )
    same = measure(SCORES, truth, prior=np.ones(3) / 3, zero_shot=SCORES)["gain"]
    assert (same["low"], same["high"]) == (0, 0)


def test_clips_of_one_source_are_drawn_together():
    rng = np.random.default_rng(0)
    classes = np.repeat(rng.integers(2, size=10), 20)
    right = np.repeat(rng.random(10) < 0.5, 20)
    scores = np.where(right, classes, 1 - classes)[:, None] == np.arange(2)
    prior = np.ones(2) / 2

    def width(sources):
        top = measure(scores * 1.0, single(classes, "ab", sources), prior=prior)["figures"]["top1"]
        return top["high"] - top["low"]

    assert width(np.repeat(np.arange(10), 20)) > 2 * width(np.arange(200))
    one = measure(scores * 1.0, single(classes, "ab", np.zeros(200, int)), prior=prior)
    assert one["figures"]["top1"] == {"value": right.mean(), "low": None, "high": None}
    assert one["sources"] == 1


def test_figures_of_several_labels():
    right = np.array([[1, 1], [0, 1], [0, 0], [1, 0]], bool)
    scores = np.array([[0.9, 0.8], [0.6, 0.7], [0.2, 0.1], [0.8, 0.4]])
    out = measure(scores, Truth(right, np.arange(4), "ab", True), prior=np.array([0.5, 0.5]))
    assert list(out["figures"]) == ["mean_average_precision", "macro_f1", "calibration_error"]
    assert out["figures"]["mean_average_precision"]["value"] == 1.0
    assert out["figures"]["macro_f1"]["value"] == pytest.approx((0.8 + 1) / 2)
    assert out["confusion"] is None
    assert [row["support"] for row in out["per_class"]] == [2, 2]
    assert sum(bar["answers"] for bar in out["reliability"]) == 8
