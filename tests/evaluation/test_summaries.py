"""Summaries against people: naive references, and the known figures of TVSum."""

from __future__ import annotations

import itertools
import json
import math
import runpy

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.conftest import ROOT
from videomm.evaluation.summaries import (
    keep_frames,
    kendall_tau,
    knapsack_f1,
    spearman_rho,
    summary_f1,
)

levels = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=15)
sizes = st.lists(st.integers(1, 6), min_size=1, max_size=7)


def naive_tau_b(first: list[int], second: list[int]) -> float:
    """Pairs in the same order less those in the other, by the pairs that are no ties."""
    pairs = list(itertools.combinations(zip(first, second, strict=True), 2))
    signs = [(np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in pairs]
    untied = [sum(sign[side] != 0 for sign in signs) for side in (0, 1)]
    return float(sum(x * y for x, y in signs) / math.sqrt(untied[0] * untied[1]))


def naive_rho(first: list[int], second: list[int]) -> float:
    """Pearson's correlation of mean ranks."""

    def ranks(values: list[int]) -> list[float]:
        return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]

    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


@given(levels=levels)
def test_correlations_agree_with_naive_ones(levels):
    first, second = map(list, zip(*levels, strict=True))
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    scores, people = np.array(first, float), np.array([second, first], float)
    assert kendall_tau(scores, people) == pytest.approx([naive_tau_b(first, second), 1])
    assert spearman_rho(scores, people) == pytest.approx([naive_rho(first, second), 1])
    # Only the order counts, and the other way round is the other sign.
    assert kendall_tau(scores**3, people) == pytest.approx(kendall_tau(scores, people))
    assert spearman_rho(-scores, people) == pytest.approx(-spearman_rho(scores, people))


@given(sizes=sizes, data=st.data(), share=st.floats(0.05, 1))
def test_kept_frames_are_whole_segments_of_the_best_sum_of_means(sizes, data, share):
    bounds = np.cumsum([0, *sizes])
    values = st.lists(st.integers(1, 5), min_size=int(bounds[-1]), max_size=int(bounds[-1]))
    scores = np.array(data.draw(values), float)
    kept = keep_frames(scores, bounds, share)
    pieces = list(itertools.pairwise(bounds))
    chosen = [kept[a:b].all() for a, b in pieces]
    assert chosen == [kept[a:b].any() for a, b in pieces]
    limit = math.floor(share * len(scores))
    assert kept.sum() <= limit
    means = [scores[a:b].mean() for a, b in pieces]
    best = max(
        sum(itertools.compress(means, some))
        for some in itertools.product((False, True), repeat=len(sizes))
        if sum(itertools.compress(sizes, some)) <= limit
    )
    assert sum(itertools.compress(means, chosen)) == pytest.approx(best)


def test_of_equal_segments_the_earlier_ones_are_kept() -> None:
    kept = keep_frames(np.ones(20), np.arange(0, 21, 1))
    assert kept.tolist() == [True] * 3 + [False] * 17


@given(rows=st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=2, max_size=5))
def test_f1_agrees_with_precision_and_recall(rows):
    summary, *people = np.array(rows)
    for person, got in zip(people, summary_f1(summary, np.array(people)), strict=True):
        shared = (summary & person).sum()
        if shared:
            precision, recall = shared / summary.sum(), shared / person.sum()
            assert got == pytest.approx(2 * precision * recall / (precision + recall))
        else:
            assert got == 0


@given(sizes=sizes, seed=st.integers(0, 1000))
def test_f1_of_a_summary_with_itself_is_1(sizes, seed):
    bounds = np.cumsum([0, *sizes])
    scores = np.random.default_rng(seed).random(bounds[-1]) + 0.1
    f1 = knapsack_f1(scores, np.stack([scores, 3 * scores]), bounds, share=0.5)
    # Where no segment fits there is no summary.
    assert f1 == pytest.approx(np.full(2, 1.0 if min(sizes) <= bounds[-1] // 2 else 0.0))


def test_knapsack_f1_by_hand() -> None:
    bounds = np.arange(0, 21)
    scores = np.eye(20)[0] + np.eye(20)[1] + np.eye(20)[2]  # keeps frames 0, 1 and 2
    person = scores - np.eye(20)[0] + np.eye(20)[9]  # keeps frames 1, 2 and 9
    other = np.flip(scores)
    f1 = knapsack_f1(scores, np.stack([scores, person, other]), bounds)
    assert f1 == pytest.approx([1, 2 / 3, 0])


def test_errors_name_what_is_wrong() -> None:
    scores, bounds = np.arange(4.0), np.array([0, 2, 4])
    with pytest.raises(ValueError, match=r"at least 0, got \(4,\) from -3\.0: scale them"):
        keep_frames(-scores, bounds)
    with pytest.raises(ValueError, match=r"rising, got \[0, 2, 2, 4\]"):
        keep_frames(scores, np.array([0, 2, 2, 4]))
    with pytest.raises(ValueError, match=r"0 to the 4 frames, got 0\.\.3"):
        keep_frames(scores, np.array([0, 2, 3]))
    with pytest.raises(ValueError, match="share must be above 0 and at most 1, got 15"):
        keep_frames(scores, bounds, 15)
    with pytest.raises(ValueError, match=r"same N, got \(4,\) and \(1, 3\)"):
        summary_f1(np.ones(4, bool), np.ones((1, 3), bool))
    with pytest.raises(ValueError, match=r"same N, got \(4,\) and \(4,\)"):
        knapsack_f1(scores, scores, bounds)
    with pytest.raises(ValueError, match="the scores are the same for every frame"):
        kendall_tau(np.ones(4), scores[None])
    with pytest.raises(ValueError, match="a person's scores are the same for every frame"):
        spearman_rho(scores, np.stack([scores, np.ones(4)]))
    with pytest.raises(ValueError, match="the scores must not be NaN"):
        kendall_tau(np.full(4, np.nan), scores[None])


@pytest.mark.slow
def test_people_of_tvsum_agree_as_published(data_dir, capsys):
    pytest.importorskip("h5py", reason="TVSum is read with h5py: videomm[dev]")
    if not (data_dir / "summaries" / "ydata-tvsum50.mat").is_file():
        pytest.skip(f"no summaries/ydata-tvsum50.mat in {data_dir}: set VIDEOMM_DATA")
    main = runpy.run_path(str(ROOT / "benchmarks" / "summaries.py"))["main"]
    assert main(["--data", str(data_dir), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = report["figures"]
    assert report["wrong"] == []
    assert figures["each person with each other one, tau"] == pytest.approx(0.177, abs=5e-4)
    assert figures["each person with each other one, rho"] == pytest.approx(0.204, abs=5e-4)
    assert figures["each person with the mean of all, tau"] == pytest.approx(0.378, abs=5e-4)
    assert figures["each person with the mean of all, rho"] == pytest.approx(0.473, abs=5e-4)
    assert figures["each person with the mean of the others, tau"] == pytest.approx(0.314, abs=5e-4)
    assert figures["random scores with each person, tau"] == pytest.approx(0, abs=0.015)
