import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.words import film, make_scorer
from videomm.tasks.concepts import read_bank
from videomm.tasks.presence import (
    PhraseScorer,
    PresenceCalibration,
    View,
    load_presence_calibration,
    save_presence_calibration,
)


def calibrated(scorer, threshold=1.0, slope=2.0):
    """The scorer with curves of its own."""
    scorer.calibration = PresenceCalibration(
        scorer.model.encoder.id,
        scorer.bank.bank.digest,
        (threshold, threshold / 2),
        (slope, slope),
        np.zeros(scorer.model.encoder.dim, np.float32),
    )
    return scorer


def test_what_is_shown_is_present_where_it_is_shown():
    scorer = make_scorer()
    view = View(film(scorer, "a dog running", "a cat", "a boat"), scorer)
    found = view.presence(["a cat"])
    assert found.present
    assert [(item.start, item.end) for item in found.segments] == [(3.0, 6.0)]
    assert not view.presence(["an elephant"]).present


def test_what_is_shown_twice_has_two_segments():
    scorer = make_scorer()
    view = View(film(scorer, "a cat", "a boat", "a cat", "a river"), scorer)
    spans = sorted((item.start, item.end) for item in view.presence(["a cat"]).segments)
    assert spans == [(0.0, 3.0), (6.0, 9.0)]


def test_a_moment_of_most_of_the_video_is_not_cut_short():
    scorer = make_scorer()
    timeline = film(scorer, "a cat", "a boat")
    sims = np.zeros((len(timeline), 1), np.float32)
    cut = np.searchsorted(timeline.times, 3.0)
    # The right scene rises while the camera nears: the median of all frames lies within it.
    sims[:cut, 0], sims[cut:, 0] = np.linspace(0.6, 1.0, cut), 0.0
    view = View(timeline, scorer).limited_to(0, cut + 1)
    (found,) = view.moments(sims)
    assert (found.start, found.end) == (0.0, 3.0)


def test_segments_are_best_first():
    scorer = make_scorer()
    view = View(film(scorer, "a cat sofa lamp", "a boat", "a cat"), scorer)
    segments = view.presence(["a cat"]).segments
    assert segments[0].start == 6.0
    assert [item.score for item in segments] == sorted((s.score for s in segments), reverse=True)


def test_the_score_is_the_distance_from_the_banks_best_moments_in_deviations():
    scorer = calibrated(make_scorer(), threshold=1.0, slope=2.0)
    timeline = film(scorer, "a dog", "a cat lamp")
    found = View(timeline, scorer).presence(["a cat"])
    bank = (timeline.embeddings @ scorer.bank.vectors.T).max(axis=0)
    expected = (np.sqrt(0.5) - bank.mean()) / bank.std()
    assert found.score == pytest.approx(expected, abs=1e-5)
    assert found.probability == pytest.approx(1 / (1 + np.exp(-2 * (expected - 1))), abs=1e-5)


def test_two_phrases_are_averaged_and_have_a_curve_of_their_own():
    scorer = calibrated(make_scorer())
    view = View(film(scorer, "a man eating", "a boat"), scorer)
    one, other = view.presence(["a man"]), view.presence(["a man eating"])
    both = view.presence(["a man", "a man eating"])
    assert both.score == pytest.approx((one.score + other.score) / 2, abs=1e-5)
    assert both.probability == pytest.approx(1 / (1 + np.exp(-2 * (both.score - 0.5))), abs=1e-5)


@given(st.floats(-4, 4), st.floats(-3, 3), st.floats(0.3, 5), st.integers(1, 3))
def test_the_curve_is_one_half_at_the_threshold_and_rises(score, threshold, slope, phrases):
    curve = PresenceCalibration("e", "b", (threshold, threshold), (slope, slope), np.zeros(1))
    assert curve.probability(threshold, phrases) == 0.5
    assert 0 <= curve.probability(score, phrases) <= curve.probability(score + 0.1, phrases) <= 1


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_ranks_without_a_calibration_keep_their_order(ranks):
    scorer = make_scorer()
    chances = [scorer.probability(0.0, rank) for rank in sorted(ranks)]
    assert chances == sorted(chances)
    assert all(0 <= chance <= 1 for chance in chances)
    assert "no calibration" in scorer.warnings[0]


def test_cuts_stay_sharp_in_smoothed_frames():
    scorer = make_scorer()
    timeline = film(scorer, "a cat", "a boat")
    assert np.allclose(View(timeline, scorer).frames, timeline.embeddings, atol=1e-6)


def test_a_single_frame_is_enough():
    scorer = make_scorer()
    view = View(film(scorer, "a cat", seconds=0.5), scorer)
    assert view.presence(["a cat"]).present
    assert len(view.presence(["a boat"]).segments) == 1


def test_a_part_is_judged_by_itself():
    scorer = make_scorer()
    view = View(film(scorer, "a cat", "a boat"), scorer)
    assert view.presence(["a cat"]).present
    later = view.limited_to(6, 12)
    assert not later.presence(["a cat"]).present
    assert all(item.start >= 3 for item in later.presence(["a boat"]).segments)


def test_texts_near_to_every_picture_are_corrected():
    scorer = calibrated(make_scorer())
    texts = scorer.vectors(["a cat", "a dog"])
    frames = film(scorer, "a cat a dog").embeddings[:1]
    usual = scorer.calibration.usual
    usual[:] = texts[0]
    assert scorer.similarities(frames, texts)[0] == pytest.approx([np.sqrt(0.5)] * 2)
    cat, dog = scorer.centred(frames, texts)[0]
    assert dog > cat


def test_calibration_files_come_back_as_they_were(tmp_path):
    written = PresenceCalibration("tiny@1", "77", (0.9, 0.3), (1.5, 2.0), np.arange(4, dtype="f4"))
    path = tmp_path / "answers.safetensors"
    save_presence_calibration(written, path)
    read = load_presence_calibration(path)
    assert np.array_equal(read.usual, written.usual)
    facts = ("encoder", "bank", "thresholds", "slopes")
    assert all(getattr(read, name) == getattr(written, name) for name in facts)
    assert load_presence_calibration(tmp_path / "gone") is None


def test_the_embedded_model_is_calibrated(tiny):
    found = load_presence_calibration()
    again = "run python benchmarks/answers.py --calibrate"
    assert (found.encoder, found.bank) == (tiny.id, read_bank().digest), again
    assert len(found.usual) == tiny.dim


def test_another_model_has_no_calibration():
    scorer = make_scorer()
    assert PhraseScorer(scorer.model, scorer.bank).calibration is None
