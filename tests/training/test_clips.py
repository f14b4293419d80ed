import shutil

import numpy as np
import pytest

from tests.fakes import FakeEncoder
from tests.labelled_clips import COLOURS, write_colour
from videomm.cache import TimelineCache
from videomm.errors import InvalidInputError
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.training.clips import embed_part, read_clips
from videomm.training.labelled import Example


@pytest.fixture
def pipeline(tmp_path):
    model = VideoModel(FakeEncoder({"x": np.eye(16)[0]}))
    return VideoPipeline(model, cache=TimelineCache(tmp_path / "cache"), progress=False)


def test_bad_files_are_listed_and_the_others_read(pipeline, tmp_path):
    good = write_colour(tmp_path / "a.mp4", COLOURS["red"], 0)
    copy = shutil.copy(good, tmp_path / "copy.mp4")
    (tmp_path / "bad.mp4").write_text("no video")
    paths = [str(tmp_path / "bad.mp4"), str(good), str(copy), str(tmp_path / "gone.mp4")]
    clips, skipped = read_clips(pipeline, [Example(path, ("x",)) for path in paths])
    assert [clip.example.path for clip in clips] == paths[1:3]
    assert clips[0].content == clips[1].content
    assert clips[0].timeline.thumbnails == ()
    assert [(item.clip, item.kind) for item in skipped] == [
        (paths[0], "NotAVideoError"),
        (paths[3], "VideoNotFoundError"),
    ]
    with pytest.raises(InvalidInputError, match=r"none of 1 clips can be read; the first: .*gone"):
        read_clips(pipeline, [Example(paths[3], ("x",))])


def test_known_clips_are_not_decoded_again(pipeline, tmp_path, monkeypatch):
    example = Example(str(write_colour(tmp_path / "a.mp4", COLOURS["red"], 0)), ("x",))
    (first,), _ = read_clips(pipeline, [example])
    monkeypatch.setattr("videomm.pipeline.build_timeline", None)
    (again,), _ = read_clips(pipeline, [example])
    assert np.array_equal(first.timeline.embeddings, again.timeline.embeddings)
    pipeline.cache = None
    monkeypatch.undo()
    assert read_clips(pipeline, [example])[0][0].content == first.content


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [
        (1.0, 3.0, [1.12, 1.36, 1.6, 1.84, 2.12, 2.36, 2.6, 2.84]),
        (3.5, None, [3.56, 3.68, 3.8, 3.92, 4.04, 4.16, 4.28, 4.44]),
        (None, 0.32, [0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28]),
    ],
)
def test_a_part_is_sampled_as_a_video_of_that_length(pipeline, tmp_path, start, end, times):
    path = write_colour(tmp_path / "a.mp4", COLOURS["red"], 0, frames=113)
    timeline = embed_part(pipeline, Example(str(path), ("x",), start=start, end=end))
    assert timeline.times == pytest.approx(times, abs=0.045)
    assert (timeline.times >= (start or 0) - 0.04).all()


def test_a_part_after_the_end_is_no_clip(pipeline, tmp_path):
    path = str(write_colour(tmp_path / "a.mp4", COLOURS["red"], 0))
    for end in (None, 9.0):
        with pytest.raises(InvalidInputError, match="starts after the end of the video, which la"):
            embed_part(pipeline, Example(path, ("x",), start=5.0, end=end))
