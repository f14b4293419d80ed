import dataclasses
import json
import pickle

import numpy as np
import pytest

from videomm import errors
from videomm.errors import InvalidInputError
from videomm.types import Classification, Frames, Label, SamplingPlan, Segment, Timeline


def make_timeline(times=(0.0, 0.5), **changes):
    embeddings = np.eye(len(times), 4, dtype=np.float32)
    values = {
        "embeddings": embeddings,
        "times": np.array(times),
        "duration": 1.0,
        "encoder": "e@1",
        "path": "a.mp4",
        "decoder": "pyav",
        "decoder_reason": "because",
        "plan": {"mode": "fps"},
    }
    return Timeline(**(values | changes))


def test_frames_check_shape_dtype_and_times():
    pixels = np.zeros((2, 4, 6, 3), np.uint8)
    frames = Frames(pixels, [0, 0.5])
    assert len(frames) == 2
    assert repr(frames) == "Frames(2 of 6x4, 0.000..0.500 s, complete=True)"
    with pytest.raises(InvalidInputError, match=r"uint8 of shape \(N, H, W, 3\), got float64"):
        Frames(pixels.astype(float), [0, 1])
    with pytest.raises(InvalidInputError, match=r"times have shape \(1,\), expected \(2,\)"):
        Frames(pixels, [0])
    with pytest.raises(InvalidInputError, match="finite seconds >= 0"):
        Frames(pixels, [0, np.nan])


def test_frames_cannot_be_written():
    frames = Frames(np.zeros((1, 2, 2, 3), np.uint8), [0])
    with pytest.raises(ValueError, match="read-only"):
        frames.pixels[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        frames.complete = False


def test_timeline_checks_itself():
    assert "2 frames x 4" in repr(make_timeline())
    with pytest.raises(InvalidInputError, match="L2-normalised, got norms from 2"):
        make_timeline(embeddings=2 * np.eye(2, 4, dtype=np.float32))
    with pytest.raises(InvalidInputError, match="strictly ascending"):
        make_timeline(times=(0.5, 0.5))
    with pytest.raises(InvalidInputError, match="1 thumbnails for 2 frames"):
        make_timeline(thumbnails=(b"x",))
    with pytest.raises(InvalidInputError, match="N >= 1"):
        make_timeline(embeddings=np.zeros((0, 4), np.float32), times=[])


def test_bounds_tile_the_video_even_where_the_last_frame_is_late():
    assert make_timeline(times=(0.2, 0.6)).bounds.tolist() == [0.0, 0.6, 1.0]
    assert make_timeline(times=(0.2, 3.0)).bounds.tolist() == [0.0, 3.0, 3.0]


def test_bounds_of_a_damaged_video_end_where_its_frames_do():
    damaged = make_timeline(times=(0.0, 0.5, 1.0), duration=10.0, complete=False)
    assert damaged.bounds.tolist() == [0.0, 0.5, 1.0, 1.5]
    nearly = make_timeline(times=(0.0, 0.5, 1.0), duration=1.2, complete=False)
    assert nearly.bounds.tolist() == [0.0, 0.5, 1.0, 1.2]
    assert make_timeline(times=(0.0, 0.5, 1.0), duration=10.0).bounds[-1] == 10.0


def test_segment_and_plan_check_order():
    with pytest.raises(InvalidInputError, match="0 <= start <= end"):
        Segment(2.0, 1.0, 0.5)
    with pytest.raises(InvalidInputError, match="ascending"):
        SamplingPlan("times", (1.0, 0.0))


def test_classification_as_json_has_the_documented_keys():
    result = Classification(
        path="a.mp4",
        model="tiny",
        decoder="pyav",
        complete=True,
        warnings=("w",),
        labels=(Label("cat", 0.75), Label("dog", 0.25)),
        segments=(Segment(0.0, 1.0, 0.75, "cat"),),
        unknown=False,
        sampling={"mode": "fps"},
        duration=1.0,
    )
    values = json.loads(json.dumps(result.to_dict()))
    assert values["labels"] == [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
    assert values["segments"] == [{"start": 0.0, "end": 1.0, "score": 0.75, "label": "cat"}]
    assert {"path", "model", "decoder", "complete", "warnings"} < set(values)
    assert result.best == Label("cat", 0.75)
    assert str(result) == "a.mp4: cat 0.75, dog 0.25"
    assert dataclasses.replace(result, unknown=True).best is None


@pytest.mark.parametrize(
    "kind", [k for k in vars(errors).values() if isinstance(k, type)], ids=lambda k: k.__name__
)
def test_every_error_is_ours_keeps_its_message_and_crosses_processes(kind):
    error = kind("what, allowed, try")
    assert isinstance(error, errors.VideommError)
    assert error.kind == kind.__name__
    assert str(error) == "what, allowed, try"
    assert str(pickle.loads(pickle.dumps(error))) == "what, allowed, try"
