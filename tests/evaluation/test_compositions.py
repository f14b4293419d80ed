"""What is found in compositions, on answers that can be checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from videomm.evaluation.compositions import Findings, find_in, measure_findings
from videomm.training.compositions import Composition, Scene
from videomm.types import Timeline

# Pictures 7, 3, 7 and 5; 7 returns and is on screen for the longest.
PLAN = Composition(
    tuple(
        Scene(picture, start, end, 0.0, 0.0)
        for picture, start, end in ((7, 0.0, 3.0), (3, 3.0, 6.0), (7, 6.0, 9.0), (5, 9.0, 11.0))
    ),
    (0, 0, 0),
)
TRUTH = np.array([(0.0, 3.0), (3.0, 6.0), (9.0, 11.0)])


def score(moments, dominant: int) -> dict[str, float]:
    return measure_findings([PLAN], [Findings(np.array(moments, float), dominant)])


def test_the_truth_scores_100() -> None:
    assert score(TRUTH, 0) == {"moment": 100, "order": 100, "tau": 100, "dominant": 100}


def test_a_picture_that_returns_may_be_found_in_either_place_and_has_none_in_the_order() -> None:
    moments = TRUTH.copy()
    moments[0] = (6.0, 9.0)
    assert score(moments, 0)["moment"] == 100
    moments[0] = (10.0, 11.0)
    assert score(moments, 0) == {"moment": 66.7, "order": 100, "tau": 100, "dominant": 100}


def test_wrong_answers_are_wrong() -> None:
    assert score(TRUTH[[0, 2, 1]], 1) == {"moment": 33.3, "order": 0, "tau": -100, "dominant": 0}
    assert score([(0, 1.4), (3, 4.5), (9, 10)], 2)["moment"] == 66.7  # IoU 0.47, 0.5, 0.5


def test_equal_middles_are_put_in_a_random_order() -> None:
    plan = Composition((*PLAN.scenes[:2], Scene(5, 6.0, 8.0, 0.0, 0.0)), (0, 0, 0))
    same = Findings(np.array([(2.0, 6.0)] * 3), 0)
    row = measure_findings([plan] * 500, [same] * 500)
    assert row["order"] == pytest.approx(100 / 6, abs=6)
    assert row["tau"] == pytest.approx(0, abs=8)


def test_without_an_order_there_is_no_figure_for_it() -> None:
    plan = Composition(PLAN.scenes[:3], (0, 0))
    row = measure_findings([plan], [Findings(TRUTH[:2], 0)])
    assert math.isnan(row["order"])
    assert math.isnan(row["tau"])
    assert row["moment"] == 100


def test_one_finding_for_each() -> None:
    with pytest.raises(ValueError, match="got 0 and 0"):
        measure_findings([], [])
    with pytest.raises(ValueError, match="got 1 and 0"):
        measure_findings([PLAN], [])


def test_found_in_frames_that_show_what_they_show() -> None:
    vectors = np.eye(4, dtype=np.float32)
    own = [0] * 6 + [1] * 6 + [0] * 6 + [2] * 4
    timeline = Timeline(
        embeddings=vectors[own],
        times=np.arange(22) / 2,
        duration=11.0,
        encoder="fake",
        path="<composition>",
        decoder="none",
        decoder_reason="",
        plan={},
    )
    pooled = timeline.embeddings.mean(axis=0)
    found = find_in(timeline, timeline.embeddings, pooled, vectors[:3])
    assert found.moments.tolist() == TRUTH.tolist()
    assert found.dominant == 0
    # Context decides which scene it is, the timeline where scenes begin and end.
    other = find_in(timeline, np.roll(timeline.embeddings, 6, axis=0), vectors[2], vectors[:3])
    assert other.moments[1].tolist() == [6.0, 9.0]
    assert other.dominant == 2
