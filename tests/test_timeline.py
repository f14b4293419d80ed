import io

import numpy as np
import pytest
from PIL import Image

from tests.fakes import FakeEncoder
from videomm.cli.demo import CLIP
from videomm.config import SamplingConfig
from videomm.errors import InvalidInputError, VideoNotFoundError
from videomm.timeline import build_timeline, timeline_from_frames
from videomm.video.reader import open_video

ENCODER = FakeEncoder({"x": np.eye(4)[0]})


def test_samples_decodes_and_encodes_a_file():
    timeline = build_timeline(CLIP, ENCODER)
    assert timeline.duration == pytest.approx(18.2)
    assert len(timeline) == 37
    # 25 frames a second: the frame on screen at 0.5 s is the one of 0.48 s.
    assert timeline.times[:3] == pytest.approx([0.0, 0.48, 1.0])
    assert timeline.path == str(CLIP)
    assert timeline.complete
    assert timeline.plan == {
        "mode": "fps",
        "fps": 2.0,
        "min_frames": 8,
        "max_frames": 512,
        "num_times": 37,
    }
    with open_video(CLIP) as reader:
        frames = reader.get_frames_at(timeline.times, short_side=32)
    assert np.array_equal(timeline.embeddings, ENCODER.encode_frames(frames.pixels))


def test_thumbnails_show_their_frames():
    timeline = build_timeline(CLIP, ENCODER, SamplingConfig(times=(1.0, 10.0)))
    pictures = [Image.open(io.BytesIO(data)) for data in timeline.thumbnails]
    assert [max(picture.size) <= 256 for picture in pictures] == [True, True]
    with open_video(CLIP) as reader:
        frames = reader.get_frames_at([1.0, 10.0], short_side=32)
    for picture, pixels in zip(pictures, frames.pixels, strict=True):
        assert np.abs(np.asarray(picture).mean((0, 1)) - pixels.mean((0, 1))).max() < 4


def test_a_frame_shown_at_several_times_is_held_once():
    timeline = build_timeline(CLIP, ENCODER, SamplingConfig(fps=100, max_frames=5000))
    assert len(timeline) == 455
    assert (np.diff(timeline.times) > 0.03).all()
    late = build_timeline(CLIP, ENCODER, SamplingConfig(times=(18.18, 40.0, 50.0)))
    assert late.times == pytest.approx([18.16])


def test_error_of_the_file_comes_through():
    with pytest.raises(VideoNotFoundError):
        build_timeline("nowhere.mp4", ENCODER)


def test_frames_in_memory_with_fps_or_times():
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), np.uint8)
    timeline = timeline_from_frames(pixels, ENCODER, fps=2)
    assert timeline.times.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert timeline.duration == 2.0
    assert (timeline.path, timeline.decoder) == ("<frames>", "none")
    again = timeline_from_frames(pixels, ENCODER, times=[0, 0.5, 1, 1.5])
    assert np.array_equal(again.embeddings, timeline.embeddings)
    assert again.duration == 2.0
    assert timeline_from_frames(pixels[:1], ENCODER, times=[3]).duration == 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "need times or fps, one of the two"),
        ({"fps": 2, "times": [0]}, "need times or fps, one of the two"),
        ({"fps": 0}, "fps must be a number above 0"),
        ({"times": [0.0, 1.0]}, "one time a frame"),
    ],
)
def test_bad_arrays(options, message):
    with pytest.raises(InvalidInputError, match=message):
        timeline_from_frames(np.zeros((1, 8, 8, 3), np.uint8), ENCODER, **options)


def test_empty_array():
    with pytest.raises(InvalidInputError, match="no frames to encode"):
        timeline_from_frames(np.zeros((0, 8, 8, 3), np.uint8), ENCODER, fps=2)
