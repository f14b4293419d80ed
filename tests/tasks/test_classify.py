import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeEncoder
from videomm.config import ClassifyConfig, check_labels
from videomm.errors import InvalidInputError
from videomm.models.frame_labels import FrameLabelConfig, FrameLabelModel
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel
from videomm.tasks.classify import _steady, classify_timeline, follow_labels
from videomm.types import Timeline

AXES = np.eye(16, dtype=np.float32)
VECTORS = {"cat": AXES[0], "dog": AXES[1], "car": AXES[2], "something": AXES[3]}


def model(**options):
    return VideoModel(FakeEncoder(VECTORS, **options))


def timeline(rows, duration=None, encoder="fake@0"):
    rows = np.asarray(rows, np.float32)
    return Timeline(
        embeddings=rows / np.linalg.norm(rows, axis=1, keepdims=True),
        times=np.arange(len(rows)) / 2,
        duration=duration or len(rows) / 2,
        encoder=encoder,
        path="a.mp4",
        decoder="pyav",
        decoder_reason="",
        plan={"mode": "fps"},
        warnings=("damaged",),
        complete=False,
    )


def test_scores_are_the_softmax_of_clip_similarities():
    rows = [3 * AXES[0] + AXES[1], 3 * AXES[0] + 2 * AXES[1]]
    result = classify_timeline(timeline(rows), ["dog", "cat", "car"], model())
    pooled = np.mean([row / np.linalg.norm(row) for row in rows], axis=0)
    pooled /= np.linalg.norm(pooled)
    logits = 10 * pooled[:3]
    expected = np.exp(logits) / np.exp(logits).sum()
    assert [item.label for item in result.labels] == ["cat", "dog", "car"]
    assert [item.score for item in result.labels] == pytest.approx(expected, abs=1e-6)
    assert sum(item.score for item in result.labels) == pytest.approx(1)


def test_result_carries_its_evidence():
    result = classify_timeline(timeline([AXES[0]] * 4), ["cat", "dog"], model())
    assert (result.path, result.model, result.decoder) == ("a.mp4", "fake", "pyav")
    assert (result.complete, result.warnings) == (False, ("damaged",))
    assert result.sampling == {"mode": "fps"}
    assert result.duration == 2.0


def test_segments_tile_the_video_at_the_cuts():
    rows = [AXES[0]] * 6 + [AXES[1]] * 4 + [AXES[0]] * 5
    segments = classify_timeline(timeline(rows, 7.3), ["cat", "dog"], model()).segments
    assert [(s.start, s.end, s.label) for s in segments] == [
        (0.0, 3.0, "cat"),
        (3.0, 5.0, "dog"),
        (5.0, 7.3, "cat"),
    ]
    assert all(0.8 < s.score <= 1 for s in segments)


def test_one_odd_frame_makes_no_segment():
    rows = [AXES[0]] * 5 + [AXES[1]] + [AXES[0]] * 5
    segments = classify_timeline(timeline(rows), ["cat", "dog"], model()).segments
    assert [s.label for s in segments] == ["cat"]


def test_multi_label_scores_each_label_against_a_neutral_one():
    rows = [3 * AXES[0] + 3 * AXES[1] + AXES[3]] * 6 + [3 * AXES[0] + AXES[3]] * 6
    config = ClassifyConfig(multi_label=True)
    result = classify_timeline(timeline(rows), ["car", "dog", "cat"], model(), config)
    scores = {item.label: item.score for item in result.labels}
    assert scores["cat"] > 0.99
    assert scores["dog"] > 0.5 > scores["car"]
    assert sorted((s.start, s.end, s.label) for s in result.segments) == [
        (0.0, 3.0, "dog"),
        (0.0, 6.0, "cat"),
    ]


def test_multi_label_of_a_sigmoid_trained_space_uses_its_bias():
    config = ClassifyConfig(multi_label=True)
    classifier = model(logit_scale=8.0, logit_bias=-4.0)
    result = classify_timeline(timeline([AXES[0]]), ["cat"], classifier, config)
    assert result.labels[0].score == pytest.approx(1 / (1 + math.exp(-4)), abs=1e-6)


def test_unknown_where_no_label_reaches_the_threshold():
    rows = [AXES[5]] * 6 + [AXES[0]] * 18
    config = ClassifyConfig(unknown=0.7)
    result = classify_timeline(timeline([AXES[5]] * 6), ["cat", "dog"], model(), config)
    assert result.unknown
    assert result.best is None
    assert result.segments == ()
    assert [item.score for item in result.labels] == pytest.approx([0.5, 0.5])
    mixed = classify_timeline(timeline(rows), ["cat", "dog"], model(), config)
    assert not mixed.unknown
    assert [(s.start, s.end, s.label) for s in mixed.segments] == [(3.0, 12.0, "cat")]


def test_top_keeps_the_best():
    config = ClassifyConfig(top=1)
    result = classify_timeline(timeline([AXES[1]]), ["cat", "dog", "car"], model(), config)
    assert [item.label for item in result.labels] == ["dog"]


def test_timeline_of_another_encoder_is_refused():
    with pytest.raises(InvalidInputError, match="made by other@1, this model reads fake@0"):
        classify_timeline(timeline([AXES[0]], encoder="other@1"), ["cat", "dog"], model())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "one or more non-empty texts"),
        (["cat", " "], "one or more non-empty texts"),
        (["cat", "dog", "cat "], "label 'cat' is given more than once"),
        (["cat"], "would always score 1"),
        ("cat", "must be a list of texts, got the one text 'cat'"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(InvalidInputError, match=message):
        check_labels(labels)


def test_single_label_is_fine_on_its_own():
    assert check_labels([" cat "], multi_label=True) == ["cat"]


@pytest.mark.parametrize(
    ("values", "message"),
    [({"unknown": 1.5}, "unknown must be between 0 and 1"), ({"top": 0}, "top must be at least 1")],
)
def test_bad_config(values, message):
    with pytest.raises(InvalidInputError, match=message):
        ClassifyConfig(**values)


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_steady_sequence_is_the_best_of_all(length, labels, seed):
    scores = np.random.default_rng(seed).dirichlet(np.full(labels, 0.3), length)

    def value(path):
        changes = sum(a != b for a, b in pairwise(path))
        gain = sum(math.log(max(scores[i, k], 0.02)) for i, k in enumerate(path))
        return gain - 2.0 * changes

    best = max(map(value, product(range(labels), repeat=length)))
    assert value(tuple(_steady(scores))) == pytest.approx(best)


def test_a_trained_model_has_labels_of_its_own():
    trained = VideoModel(FakeEncoder(VECTORS), name="pets", labels=("cat", "dog"))
    result = classify_timeline(timeline([AXES[0]] * 4), None, trained)
    assert result.model == "pets"
    assert [item.label for item in result.labels] == ["cat", "dog"]
    assert result.warnings == ("damaged",)
    few = classify_timeline(timeline([AXES[0]] * 4), ["dog", "car"], trained)
    assert few.warnings[1:] == ("pets was not trained on the label 'car'; it may mean little",)
    alone = classify_timeline(
        timeline([AXES[0]] * 4), ["dog"], trained, ClassifyConfig(multi_label=True)
    )
    assert "trained to score each label against the others" in alone.warnings[1]
    with pytest.raises(InvalidInputError, match="pets was trained to choose one of its labels"):
        classify_timeline(timeline([AXES[0]]), None, trained, ClassifyConfig(multi_label=True))
    with pytest.raises(InvalidInputError, match="fake was not trained on labels of its own"):
        classify_timeline(timeline([AXES[0]]), None, model())


def test_a_model_of_several_labels_scores_its_own_alone():
    trained = VideoModel(FakeEncoder(VECTORS), labels=("cat", "dog"), multi_label=True)
    own = classify_timeline(timeline([AXES[0]] * 4), None, trained)
    config = ClassifyConfig(multi_label=True)
    assert own == classify_timeline(timeline([AXES[0]] * 4), ["cat", "dog"], model(), config)


def test_underscores_are_read_as_blanks():
    vectors = {"a cat": AXES[0], "a dog": AXES[1]}
    result = classify_timeline(
        timeline([AXES[0]]), ["a_cat", "a_dog"], VideoModel(FakeEncoder(vectors))
    )
    assert result.labels[0].label == "a_cat"


def frame_model(monkeypatch, scores):
    """A model that says these scores of frames."""
    names = ("cat", "dog", "background")
    frames = FrameLabelModel(FrameLabelConfig(dim=16, num_labels=3, width=16, num_heads=2))
    encoder = FakeEncoder(VECTORS)
    out = VideoModel(encoder, TemporalConfig(dim=16), labels=names, frame_labels=frames)
    monkeypatch.setattr(out, "label_frames", lambda timeline: np.asarray(scores, float))
    return out


def test_labels_of_frames_become_segments_and_shares_of_time(monkeypatch):
    cat, dog, none, unsure = [0.7, 0.2, 0.1], [0.1, 0.9, 0], [0.2, 0, 0.8], [0.4, 0.35, 0.25]
    model = frame_model(monkeypatch, [cat, unsure, dog, none, none, cat])
    whole = replace(timeline([AXES[0]] * 6, 4.0), complete=True)
    result = classify_timeline(whole, None, model)
    assert [(s.start, s.end, s.label) for s in result.segments] == [
        (0.0, 1.0, "cat"),
        (1.0, 1.5, "dog"),
        (2.5, 4.0, "cat"),
    ]
    assert [s.score for s in result.segments] == pytest.approx([0.55, 0.9, 0.7])
    assert [(x.label, x.score) for x in result.labels] == [
        ("cat", pytest.approx(2.5 / 4)),
        ("background", pytest.approx(1 / 4)),
        ("dog", pytest.approx(0.5 / 4)),
    ]
    assert not result.unknown
    sure = classify_timeline(whole, None, model, ClassifyConfig(unknown=0.5))
    assert sure.segments[0].end == 0.5
    assert sum(item.score for item in sure.labels) == pytest.approx(3.5 / 4)
    assert not sure.unknown
    none_held = classify_timeline(
        timeline([AXES[0]] * 6, 4.0), None, model, ClassifyConfig(unknown=0.95, top=1)
    )
    assert (none_held.unknown, none_held.segments, len(none_held.labels)) == (True, (), 1)


def test_a_model_of_frames_has_its_own_labels_alone(monkeypatch):
    model = frame_model(monkeypatch, [[1, 0, 0]])
    for labels, config in ((["cat", "car"], None), (None, ClassifyConfig(multi_label=True))):
        with pytest.raises(InvalidInputError, match="one of its own labels; leave labels and"):
            classify_timeline(timeline([AXES[0]]), labels, model, config)


def test_other_distances_between_frames_than_in_training_are_told(monkeypatch):
    model = frame_model(monkeypatch, [[1, 0, 0]] * 4)
    clip = timeline([AXES[0]] * 4)
    for spacing, told in ((0.0, False), (0.5, False), (0.4, False), (2.0, True), (0.1, True)):
        model.frame_labels.spacing.fill_(spacing)
        notes = classify_timeline(clip, None, model).warnings
        assert any("looked at every 0.50 s, where fake was" in note for note in notes) == told


def test_background_follows_the_neutral_text():
    rows = [AXES[0]] * 4 + [AXES[3]] * 4
    path, scores = follow_labels(timeline(rows), ["cat", "background"], model())
    assert path.tolist() == [0] * 4 + [1] * 4
    assert scores.shape == (8, 2)
