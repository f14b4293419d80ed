import io

import numpy as np
import pytest
from PIL import Image

from tests.fakes import FakeEncoder
from tests.labelled_clips import COLOURS, write_colour
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.training.clips import read_clips
from videomm.training.labelled import Example
from videomm.training.mistakes import worst_mistakes

AXES = np.eye(16)
# A text near to its own colour, so that the untrained model is right.
ENCODER = FakeEncoder(
    {"red": AXES[0], "green": AXES[1], "blue": AXES[2], "something": AXES[:3].sum(axis=0)}, 50.0
)


@pytest.fixture
def read(tmp_path):
    pipeline = VideoPipeline(VideoModel(ENCODER), progress=False)

    def read(*labels):
        examples = [
            Example(str(write_colour(tmp_path / f"{colour}.mp4", COLOURS[colour], 3)), label)
            for colour, label in zip(("red", "green", "blue"), labels, strict=False)
        ]
        return pipeline, read_clips(pipeline, examples)[0]

    return read


def test_the_surest_wrong_answers_come_first(read):
    model = VideoModel(ENCODER, labels=("blue", "green", "red"))
    pipeline, clips = read(("red",), ("blue",), ("green",))
    found = worst_mistakes(model, pipeline, clips)
    assert {(item.said, item.labels) for item in found} == {
        ("green", ("blue",)),
        ("blue", ("green",)),
    }
    assert found[0].score >= found[1].score > 0.5
    assert len(worst_mistakes(model, pipeline, clips, most=1)) == 1
    picture = Image.open(io.BytesIO(found[0].picture))
    assert picture.size == (43, 32)
    assert 0 <= found[0].time < 0.4


def test_a_denied_label_shows_the_frame_that_speaks_most_against_it(read):
    model = VideoModel(ENCODER, labels=("blue", "green", "red"), multi_label=True)
    pipeline, clips = read(("blue", "red"), ())
    found = worst_mistakes(model, pipeline, clips)
    assert {(item.clip.rsplit("/")[-1], item.said) for item in found} == {
        ("red.mp4", "blue"),
        ("green.mp4", "green"),
    }
    (denied,) = [item for item in found if item.said == "blue"]
    assert denied.score < 0.5
    frames = model.attend(clips[0].timeline).frames[0].numpy()
    assert denied.time == clips[0].timeline.times[int((frames @ (AXES[2] - 0.577)[:16]).argmin())]
