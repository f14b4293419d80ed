import json

import numpy as np
import pytest
from scipy import stats

from videomm.evaluation.importance_figures import measure_importance

RNG = np.random.default_rng(0)
PEOPLE = [RNG.integers(1, 6, (3, 20)).astype(float) for _ in range(4)]
RATED = [people.mean(axis=0) + RNG.normal(0, 0.3, 20) for people in PEOPLE]
START = [RNG.random(20) for _ in PEOPLE]
SOURCES = np.array([0, 1, 1, 2])


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("videomm.evaluation.figures.RESAMPLES", 30)


def mean_tau(rated, people):
    return np.mean(
        [
            np.mean([stats.kendalltau(values, person).statistic for person in them])
            for values, them in zip(rated, people, strict=True)
        ]
    )


def test_figures_are_means_over_people_then_videos():
    out = measure_importance(RATED, START, PEOPLE, SOURCES)
    means = [people.mean(axis=0) for people in PEOPLE]
    for key, rated in (("figures", RATED), ("untrained", START), ("people", means)):
        assert out[key]["kendall_tau"]["value"] == pytest.approx(mean_tau(rated, PEOPLE))
    assert out["figures"]["kendall_tau"]["low"] < out["figures"]["kendall_tau"]["high"]
    assert out["gain"]["over"] == "untrained"
    assert out["gain"]["value"] == pytest.approx(mean_tau(RATED, PEOPLE) - mean_tau(START, PEOPLE))
    assert (out["clips"], out["sources"], len(out["videos"])) == (4, 3, 4)
    json.dumps(out, allow_nan=False)


def test_frames_that_somebody_left_out_and_people_without_an_order_do_not_count():
    people = PEOPLE[0].copy()
    people[0, :5] = np.nan
    people = np.vstack([people, np.full(20, 3.0)])
    out = measure_importance(RATED[:1], START[:1], [people], SOURCES[:1])
    expected = mean_tau([RATED[0][5:]], [PEOPLE[0][:, 5:]])
    assert out["figures"]["kendall_tau"] == {
        "value": pytest.approx(expected),
        "low": None,
        "high": None,
    }


def test_no_order_is_worth_nothing():
    out = measure_importance([np.ones(20)], START[:1], PEOPLE[:1], SOURCES[:1])
    assert out["figures"]["kendall_tau"]["value"] == 0
    assert out["figures"]["spearman_rho"]["value"] == 0
