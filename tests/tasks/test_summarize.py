import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import FakeEncoder
from tests.render.results import picture
from tests.tasks.describing import GreyDescriber, grey_thumbnails, with_describer
from tests.tasks.words import film, make_scorer
from videomm.config import SummarizeConfig
from videomm.errors import InvalidInputError
from videomm.models.importance import ImportanceModel
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel
from videomm.render.page import build_page
from videomm.tasks.concepts import Bank, Calibration, EmbeddedBank, embed_bank
from videomm.tasks.summarize import (
    NEAR_EQUAL,
    UNSAID,
    clock,
    frame_importance,
    knapsack,
    rate_importance,
    similarity_to_previous,
    summarize_timeline,
)
from videomm.types import Timeline

AXES = np.eye(16, dtype=np.float32)
# What a picture that shows nothing looks like.
NOTHING = AXES[15:]
WORDS = {"a dog": AXES[0], "a car": AXES[1], "on a beach": AXES[2], "running": AXES[3]}
SECTIONS = ("objects", "objects", "scenes", "actions")


def make_bank(threshold=0.5):
    encoder, bank = FakeEncoder(WORDS), Bank(tuple(WORDS), SECTIONS)
    vectors = embed_bank(bank, encoder)
    thresholds = dict.fromkeys(("objects", "scenes", "actions"), threshold)
    calibration = Calibration(encoder.id, bank.digest, vectors, NOTHING, thresholds)
    return EmbeddedBank(bank, vectors, calibration if threshold is not None else None)


class SentenceEncoder(FakeEncoder):
    """A sentence is the sum of the bank's entries in it."""

    def encode_text(self, texts, templates=("{}",)):
        rows = [
            sum((v for word, v in WORDS.items() if word in text.lower()), 0 * AXES[0])
            for text in texts
        ]
        return np.stack([row / np.linalg.norm(row) for row in rows])


MODEL = VideoModel(SentenceEncoder(WORDS))


def make_timeline(rows, step=0.5, thumbnails=(), **changes):
    rows = np.asarray(rows, np.float32)
    values = {
        "embeddings": rows / np.linalg.norm(rows, axis=1, keepdims=True),
        "times": np.arange(len(rows)) * step,
        "duration": len(rows) * step,
        "encoder": "fake@0",
        "path": "a.mp4",
        "decoder": "pyav",
        "decoder_reason": "",
        "plan": {"mode": "fps"},
        "thumbnails": tuple(thumbnails),
    }
    return Timeline(**{**values, **changes})


def shots(*lengths, noise=0.05, seed=0):
    rows = np.repeat(AXES[[0, 1, 5, 6, 7, 8]][: len(lengths)], lengths, axis=0)
    return rows + np.random.default_rng(seed).normal(0, noise, rows.shape)


def summarize(timeline, **settings):
    return summarize_timeline(timeline, MODEL, SummarizeConfig(**settings), make_bank())


def total(segments):
    return sum(item.end - item.start for item in segments)


# The knapsack


@given(
    items=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 30)), max_size=9),
    capacity=st.integers(0, 60),
)
def test_knapsack_is_exact(items, capacity):
    values, sizes = [value for value, _ in items], [size for _, size in items]
    chosen = knapsack(values, sizes, capacity)
    best = max(
        sum(values[i] for i in some)
        for count in range(len(items) + 1)
        for some in itertools.combinations(range(len(items)), count)
        if sum(sizes[i] for i in some) <= capacity
    )
    assert sum(sizes[i] for i in chosen) <= capacity
    assert sum(values[i] for i in chosen) == pytest.approx(best)
    assert chosen == sorted(set(chosen))


# Segments


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=6),
    seconds=st.floats(0.05, 40),
    seed=st.integers(0, 1000),
)
def test_segments_keep_within_the_budget_and_are_never_none(lengths, seconds, seed):
    timeline = make_timeline(shots(*lengths, seed=seed, noise=0.2))
    result = summarize(timeline, seconds=seconds)
    assert result.segments
    assert 0 < total(result.segments) <= min(seconds, timeline.duration) + 1e-6
    ends = [0.0, *(edge for item in result.segments for edge in (item.start, item.end))]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(ends))
    assert ends[-1] <= timeline.duration + 1e-9
    assert all(0 <= item.score <= 1 for item in result.segments)


def test_one_long_scene_contributes_its_best_stretch():
    # In one scene of 30 s, the frames from 10 to 13 s stand for the others most.
    rng = np.random.default_rng(1)
    rows = AXES[0] + rng.normal(0, 0.15, (60, 16))
    rows[20:26] = AXES[0]
    result = summarize(make_timeline(rows), seconds=1.0)
    (segment,) = result.segments
    assert total(result.segments) == pytest.approx(1.0, abs=0.01)
    assert 9.5 <= segment.start <= 12.5


def test_a_budget_of_the_whole_video_takes_the_whole_video():
    result = summarize(make_timeline(shots(6, 6)), ratio=1.0)
    assert [(item.start, item.end) for item in result.segments] == [(0, 3), (3, 6)]


def test_several_scenes_share_a_budget():
    result = summarize(make_timeline(shots(12, 12, 12)), seconds=4.0)
    scenes = {int(item.start // 6) for item in result.segments}
    assert len(scenes) == 2
    assert total(result.segments) > 3.5


def test_segments_stay_clear_of_the_next_scene():
    # The cut lies anywhere between the last frame of a scene and the first of the next.
    result = summarize(make_timeline(shots(8, 8)), ratio=0.9)
    first = [item for item in result.segments if item.start < 4]
    assert first
    assert all(item.end <= 3.5 for item in first)


# Importance and keyframes


def test_importance_is_high_for_the_usual_and_the_new():
    rows = np.concatenate([shots(10, noise=0.01), shots(0, 5, noise=0.01)])
    timeline = make_timeline(rows)
    importance = frame_importance(timeline, [(0, 10), (10, 15)])
    assert importance.shape == (15,)
    assert importance.min() >= 0
    assert importance.max() <= 1
    odd = rows.copy()
    odd[4] = 0.6 * AXES[0] + 0.8 * AXES[1]
    less = frame_importance(make_timeline(odd), [(0, 10), (10, 15)])
    assert less[4] < less[3]


def test_flat_frames_are_worth_nothing():
    flat, full = picture((0, 0, 0), mark=False), picture((90, 120, 30))
    timeline = make_timeline(shots(4, 4), thumbnails=[flat] * 4 + [full] * 4)
    importance = frame_importance(timeline, [(0, 4), (4, 8)])
    assert (importance[:4] == 0).all()
    assert (importance[4:] > 0).any()
    result = summarize(timeline)
    assert all(item.time >= 2 for item in result.keyframes)
    # The first scene would be a dog, were it not flat.
    assert [item.text for item in result.scenes] == [UNSAID, "A car."]


def test_similarity_to_the_frame_before():
    values = similarity_to_previous(make_timeline([AXES[0], AXES[0], AXES[1]]))
    assert values.tolist() == [1, 1, 0]


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=6),
    most=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_no_two_keyframes_are_near_equal(lengths, most, seed):
    timeline = make_timeline(shots(*lengths, seed=seed, noise=0.15))
    keyframes = summarize(timeline, keyframes=most).keyframes
    assert 1 <= len(keyframes) <= most
    times = [item.time for item in keyframes]
    assert times == sorted(set(times))
    rows = timeline.embeddings[np.searchsorted(timeline.times, times)]
    cosines = rows @ rows.T - 2 * np.eye(len(rows))
    assert cosines.max() < NEAR_EQUAL


def test_a_scene_that_comes_again_is_shown_once():
    rows = np.concatenate([shots(6, 6, noise=0.01), shots(6, noise=0.01)])
    assert len(summarize(make_timeline(rows)).keyframes) == 2


def test_a_single_frame_is_a_summary():
    result = summarize(make_timeline([AXES[0]], duration=0.0))
    assert [item.time for item in result.keyframes] == [0.0]
    assert len(result.scenes) == len(result.segments) == 1


# Words


def test_the_story_is_told_in_sentences_with_times():
    rows = np.concatenate([shots(6), [AXES[9]] * 6, [AXES[0] + AXES[2] + AXES[3]] * 6])
    result = summarize(make_timeline(rows))
    assert [item.text for item in result.scenes] == [
        "A dog.",
        UNSAID,
        "A dog, on a beach; running.",
    ]
    assert result.text == (
        "0:09.0 in 3 scenes. From 0:00.0 to 0:03.0: A dog. From 0:03.0 to 0:06.0: Nothing "
        "recognised with confidence. From 0:06.0 to 0:09.0: A dog, on a beach; running."
    )
    assert result.warnings == ()


def test_an_encoder_without_calibration_gets_a_warning():
    result = summarize_timeline(make_timeline(shots(6)), MODEL, bank=make_bank(None))
    assert result.scenes[0].text.startswith("A dog and a car")
    assert result.warnings == (
        "the words are not calibrated for fake: each scene gets the best ranks of the bank, right "
        "or not",
    )


def test_result_carries_its_evidence():
    timeline = make_timeline(shots(6), complete=False, warnings=("damaged",))
    result = summarize(timeline)
    assert (result.path, result.model, result.decoder) == ("a.mp4", "fake", "pyav")
    assert (result.complete, result.warnings) == (False, ("damaged",))
    assert (result.files, result.sampling) == ({}, {"mode": "fps"})
    assert str(result).startswith("a.mp4: 0:03.0 in 1 scene.")


def test_another_encoders_timeline_is_refused():
    timeline = make_timeline(shots(6), encoder="other@1")
    with pytest.raises(InvalidInputError, match="made by other@1, this model reads fake@0"):
        summarize_timeline(timeline, MODEL, bank=make_bank())


def test_clock():
    assert [clock(t) for t in (0, 7.46, 59.96, 3723)] == ["0:00.0", "0:07.5", "1:00.0", "1:02:03.0"]


# A model that was trained on people's ratings


def rating_model(monkeypatch, rated):
    model = VideoModel(FakeEncoder(WORDS), importance=ImportanceModel(TemporalConfig(dim=16)))
    monkeypatch.setattr(model, "rate_frames", lambda timeline, start: np.asarray(rated, float))
    return model


def test_trained_importance_chooses_and_is_told(monkeypatch):
    clip = make_timeline(shots(20, 20))
    rated = np.full(40, 0.3)
    rated[30:34] = 0.6
    model = rating_model(monkeypatch, rated)
    result = summarize_timeline(clip, model, SummarizeConfig(seconds=2), make_bank())
    (best,) = result.segments
    assert (best.start, best.end) == (15.0, 17.0)
    assert result.warnings == ("what is worth watching is rated as fake was trained to",)
    assert summarize(clip).scenes[0].end == result.scenes[0].end
    importance = rate_importance(clip, [(0, 20), (20, 40)], model)
    assert (importance == (rated > 0.5)).all()
    # The page draws what the choice was made by.
    assert build_page(result, clip, model) != build_page(result, clip)


def test_flat_frames_are_worth_nothing_whatever_was_learned(monkeypatch):
    pictures = [picture("red"), picture("red", mark=False), picture("blue")]
    clip = make_timeline(AXES[:3], thumbnails=pictures)
    rated = rate_importance(clip, [(0, 3)], rating_model(monkeypatch, [0.2, 0.9, 0.6]))
    assert rated.tolist() == pytest.approx([0, 0, 4 / 7])


def test_untrained_ratings_leave_the_order_as_it_is():
    clip = make_timeline(shots(6, 9, 5))
    model = VideoModel(FakeEncoder(WORDS), importance=ImportanceModel(TemporalConfig(dim=16)))
    scenes = [(0, 6), (6, 15), (15, 20)]
    before, after = frame_importance(clip, scenes), rate_importance(clip, scenes, model)
    assert (np.argsort(before, kind="stable") == np.argsort(after, kind="stable")).all()


def told(captions):
    describer = GreyDescriber(captions)
    scorer = with_describer(make_scorer(), describer)
    scenes = ("a dog running lawn", "a cat sleeping sofa")
    timeline = film(scorer, *scenes, thumbnails=grey_thumbnails(60, 180))
    return summarize_timeline(timeline, scorer.model, None, scorer.bank, describer)


def test_a_decoder_writes_the_sentences():
    result = told({60: ("a dog running on a lawn", -1.0), 180: ("a cat sleeping", -1.0)})
    assert [scene.text for scene in result.scenes] == [
        "A dog running on a lawn.",
        "A cat sleeping.",
    ]
    assert "From 0:00.0 to 0:03.0: A dog running on a lawn." in result.text
    assert result.method == "decoder"
    assert summarize(make_timeline(shots(6))).method == "bank"


def test_of_three_sentences_or_more_the_nearest_to_the_whole_is_told_first():
    said = "a dog running", "a dog sleeping", "a cat jumping"
    captions = {level: (text, -1.0) for level, text in zip((60, 120, 180), said, strict=True)}
    describer = GreyDescriber(captions)
    scorer = with_describer(make_scorer(), describer)

    def summary(*scenes, levels):
        timeline = film(scorer, *scenes, thumbnails=grey_thumbnails(*levels))
        return summarize_timeline(timeline, scorer.model, None, scorer.bank, describer)

    scenes = "a cat jumping", "a dog running", "a dog sleeping"
    told = summary(*scenes, "a dog running", levels=(180, 60, 120, 60))
    assert told.overall == "A dog running."
    assert told.text.startswith("0:12.0 in 4 scenes. Overall: A dog running. From 0:00.0 to ")
    two = summary(*scenes[:2], "a cat jumping", levels=(180, 60, 180))
    assert two.overall == ""
    assert "Overall" not in two.text


def test_a_scene_of_which_no_sentence_is_sure_is_told_in_words_of_the_bank():
    result = told({60: ("a dog running on a lawn", -1.0), 180: ("a cat sleeping", -9.0)})
    assert result.scenes[0].text == "A dog running on a lawn."
    assert "cat" in result.scenes[1].text
    assert result.scenes[1].text != "A cat sleeping."
