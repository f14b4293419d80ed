import json
import sys

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.sharing.models import random_model, small_encoder
from videomm import __version__
from videomm.errors import ExportError, InstallationError, InvalidInputError
from videomm.models.video_model import VideoModel
from videomm.sharing import onnx_export
from videomm.sharing.onnx_export import export_model, public_name


@pytest.fixture(scope="module")
def small():
    return small_encoder()


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory):
    """A model with labels, each to be scored on its own, and where its files lie."""
    model = random_model(small, multi_label=True)
    return model, export_model(model, tmp_path_factory.mktemp("out") / "model")


@pytest.mark.slow
def test_a_model_with_labels_gives_two_files_and_says_how_to_use_them(exported, small):
    model, done = exported
    assert sorted(path.name for path in done.folder.iterdir()) == sorted(done.sizes)
    assert set(done.sizes) == {"classifier.onnx", "image.onnx", "model.json"}
    config = json.loads((done.folder / "model.json").read_text())
    assert config == done.config
    assert (config["videomm"], config["labels"]) == (__version__, list(model.labels))
    assert config["multi_label"] is True
    assert config["encoder"] == f"small@{small.fingerprint}"
    assert config["preprocessing"] == small.preprocessing.to_dict()
    assert config["files"]["image.onnx"]["inputs"]["images"]["shape"] == ["N", 3, 64, 64]
    outputs = config["files"]["classifier.onnx"]["outputs"]
    assert [value["shape"] for value in outputs.values()] == [["B", 3], ["B", "N", 3]]
    assert max(config["greatest_difference"].values()) < 1e-5


@pytest.mark.slow
def test_the_files_run_on_any_sizes_and_say_nothing_of_this_machine(exported):
    import onnxruntime

    model, done = exported
    session = onnxruntime.InferenceSession(done.folder / "classifier.onnx")
    for videos, frames in ((1, 1), (1, 9), (5, 1), (3, 17)):
        embeddings = torch.nn.functional.normalize(torch.randn(videos, frames, 64), dim=-1)
        times = torch.rand(videos, frames, dtype=torch.float64).cumsum(dim=1)
        mask = np.ones((videos, frames), bool)
        feeds = {"embeddings": embeddings.numpy(), "times": times.numpy(), "mask": mask}
        scores, frame_scores = session.run(None, feeds)
        with torch.inference_mode():
            texts = onnx_export.ClassifierGraph(model).texts
            expected = model(embeddings, times, texts).sigmoid().numpy()
        np.testing.assert_allclose(scores, expected, atol=1e-5)
        assert frame_scores.shape == (videos, frames, 3)
    for path in done.folder.iterdir():
        assert str(ROOT).encode() not in path.read_bytes()
        assert b"site-packages" not in path.read_bytes()


@pytest.mark.slow
def test_an_encoder_gives_both_towers_and_large_weights_lie_beside(small, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "ONE_FILE", 0)
    done = export_model(VideoModel(small), tmp_path / "out")
    assert set(done.sizes) == {
        "image.onnx", "image.onnx.data", "text.onnx", "text.onnx.data", "model.json"
    }  # fmt: skip
    assert "labels" not in done.config
    assert done.config["logit_scale"] == pytest.approx(small.logit_scale)
    assert done.config["tokenizer"].startswith("open_clip")


@pytest.mark.slow
def test_what_differs_is_refused_and_leaves_nothing(small, tmp_path, monkeypatch):
    forward = onnx_export.ClassifierGraph.forward

    def leaks(self, embeddings, times, mask):
        return forward(self, embeddings, times, mask | ~mask)

    monkeypatch.setattr(onnx_export.ClassifierGraph, "forward", leaks)
    with pytest.raises(ExportError, match=r"classifier.onnx of small differs from torch by 0\.\d"):
        export_model(random_model(small), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_expressed_is_said_in_a_line(small, tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise RuntimeError("no such operator\nmore")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(ExportError, match=r"image.onnx cannot be made .*: no such operator; try"):
        export_model(VideoModel(small), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_there(small, tmp_path):
    (tmp_path / "image.onnx").touch()
    with pytest.raises(InvalidInputError, match="give --force to replace an earlier export"):
        export_model(VideoModel(small), tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InvalidInputError, match=r"holds 'thesis.tex', which is no export's"):
        export_model(VideoModel(small), tmp_path, force=True)


def test_without_the_extra(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InstallationError, match=r"pip install 'videomm\[onnx\]'"):
        export_model(VideoModel(small), tmp_path / "out")


def test_a_folder_is_named_without_its_place(tmp_path):
    (tmp_path / "mine").mkdir()
    assert public_name(str(tmp_path / "mine")) == "mine"
    assert public_name(f"local-dir:{tmp_path}/mine/") == "mine"
    assert public_name("hf-hub:owner/name") == "hf-hub:owner/name"


def test_a_model_that_does_more_than_classify_pictures_is_refused(small, tmp_path):
    model = VideoModel(small, labels=("a", "b"), fusion="late")
    with pytest.raises(ExportError, match="reads what is said, labels frames or rates them"):
        export_model(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
