import subprocess
import sys

import numpy as np
import pytest

import videomm
from tests.fakes import FakeEncoder
from videomm import pipeline as pipeline_module
from videomm.cache import TimelineCache
from videomm.cli.demo import CLIP
from videomm.config import DecodingConfig, SamplingConfig, SummarizeConfig
from videomm.errors import InvalidInputError, VideoNotFoundError
from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline

VECTORS = {"red": np.eye(16)[0], "green": np.eye(16)[1], "blue": np.eye(16)[2]}


def make_pipeline(**options):
    return VideoPipeline(VideoModel(FakeEncoder(VECTORS)), **options)


@pytest.fixture
def forbid_decoding(monkeypatch):
    def forbid():
        def fail(*args, **kwargs):
            raise AssertionError("decoded again")

        monkeypatch.setattr(pipeline_module, "build_timeline", fail)

    return forbid


def test_second_question_decodes_nothing(forbid_decoding, tmp_path):
    pipe = make_pipeline(cache=TimelineCache(tmp_path))
    first = pipe.embed(CLIP)
    forbid_decoding()
    again = pipe.embed(CLIP)
    assert np.array_equal(first.embeddings, again.embeddings)
    assert first.thumbnails == again.thumbnails


@pytest.mark.parametrize(
    "options",
    [
        {"sampling": SamplingConfig(fps=3)},
        {"decoding": DecodingConfig(decoder="pyav")},
    ],
)
def test_other_settings_are_another_timeline(options, forbid_decoding, tmp_path):
    make_pipeline(cache=TimelineCache(tmp_path)).embed(CLIP)
    forbid_decoding()
    with pytest.raises(AssertionError, match="decoded again"):
        make_pipeline(cache=TimelineCache(tmp_path), **options).embed(CLIP)


def test_other_encoder_is_another_timeline(forbid_decoding, tmp_path):
    make_pipeline(cache=TimelineCache(tmp_path)).embed(CLIP)
    forbid_decoding()
    other = VideoModel(FakeEncoder(VECTORS, name="other"))
    with pytest.raises(AssertionError, match="decoded again"):
        VideoPipeline(other, cache=TimelineCache(tmp_path)).embed(CLIP)


def test_without_a_cache_nothing_is_left(own_cache):
    make_pipeline(cache=None).embed(CLIP)
    assert list(own_cache.iterdir()) == []


def test_classifies_arrays_like_files():
    pixels = np.zeros((8, 16, 16, 3), np.uint8)
    pixels[:4, ..., 0] = 255
    pixels[4:, ..., 2] = 255
    result = make_pipeline().classify(pixels, list(VECTORS), fps=2)
    assert [s.label for s in result.segments] == ["red", "blue"]
    assert result.segments[0].end == 2.0
    assert result.path == "<frames>"


@pytest.fixture
def bank_file(tmp_path):
    path = tmp_path / "bank.txt"
    path.write_text("[objects]\nred\ngreen\nblue\n")
    return str(path)


def two_colours():
    pixels = np.zeros((16, 16, 16, 3), np.uint8)
    pixels[:8, ..., 0] = 255
    pixels[8:, ..., 2] = 255
    # Flat frames have nothing to tell.
    pixels[:, :6, :6] = 255
    return pixels


def test_sums_up_arrays_like_files(bank_file, tmp_path):
    config = SummarizeConfig(bank=bank_file)
    out = tmp_path / "out"
    result = make_pipeline().summarize(two_colours(), config, fps=2, out=out, reel=False)
    assert [(item.start, item.end) for item in result.scenes] == [(0, 4), (4, 8)]
    assert result.scenes[0].text.startswith("Red")
    assert set(result.files) == {"storyboard", "page", "chapters", "descriptions", "json"}
    assert (out / "summary.html").is_file()


def test_a_second_summary_decodes_nothing(bank_file, forbid_decoding, tmp_path):
    pipe = make_pipeline(cache=TimelineCache(tmp_path))
    config = SummarizeConfig(bank=bank_file)
    first = pipe.summarize(CLIP, config)
    forbid_decoding()
    assert pipe.summarize(CLIP, config) == first


def test_a_reel_needs_a_file_and_a_folder_is_checked_first(bank_file, tmp_path):
    config = SummarizeConfig(bank=bank_file)
    with pytest.raises(InvalidInputError, match="frames in an array give no reel"):
        make_pipeline().summarize(two_colours(), config, fps=2, out=tmp_path / "out")
    (tmp_path / "mine").write_text("")
    with pytest.raises(InvalidInputError, match="exists and is not empty"):
        make_pipeline().summarize("nowhere.mp4", config, out=tmp_path)


def test_arguments_that_do_not_belong_together():
    with pytest.raises(InvalidInputError, match="times and fps belong to frames in an array"):
        make_pipeline().embed(CLIP, fps=2)
    with pytest.raises(VideoNotFoundError):
        make_pipeline().embed("nowhere.mp4")


def test_load_gives_a_pipeline_with_the_embedded_model(own_cache):
    pipe = videomm.load("tiny")
    assert pipe.model.name == "tiny"
    assert pipe.cache.directory == own_cache
    assert videomm.load("tiny", cache=False).cache is None


def test_the_embedded_model_describes_and_answers_with_its_own_decoder(own_cache):
    pipe = videomm.load("tiny", progress=False)
    timeline = pipe.embed(CLIP)
    summary = pipe.summarize(CLIP)
    assert summary.method == "decoder"
    # The man with the camera; scenes of things are left to the bank.
    (man,) = [scene.text for scene in summary.scenes if 14 <= scene.start < 16]
    assert "man" in man.split()
    answer = pipe.ask(timeline, "What is the man doing?")
    assert answer.method == "pick, decoder"
    assert answer.evidence[0].start == pytest.approx(14.0, abs=0.5)
    assert pipe.ask(timeline, "What animal is it?").method == "pick"


@pytest.mark.slow
def test_two_runs_at_once_share_a_cache(own_cache):
    code = f"""
import videomm
result = videomm.load("tiny").classify({str(CLIP)!r}, ["a cat", "a rocket"])
print(result.labels)
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=240)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0] == outputs[1] != ""
    assert TimelineCache().usage().timelines == 1


def test_public_names_resolve_and_importing_costs_nothing():
    assert all(getattr(videomm, name) is not None for name in videomm.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        videomm.nothing  # noqa: B018
    code = "import sys, videomm; print(sorted({'torch', 'numpy', 'av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
