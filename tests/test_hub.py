import json
import shutil

import numpy as np
import pytest
import torch

from tests.fakes import FakeEncoder
from videomm import hub
from videomm.encoder import TINY_DIR, load_encoder
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.hub import (
    find_decoder,
    list_models,
    load_decoder,
    load_model,
    pick_device,
    save_decoder,
    save_model,
)
from videomm.models.decoder import DecoderConfig, TextDecoder
from videomm.models.describer import Describer
from videomm.models.frame_labels import FrameLabelConfig, FrameLabelModel
from videomm.models.generation import GenerationConfig
from videomm.models.importance import ImportanceModel
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel
from videomm.timeline import timeline_from_frames
from videomm.training.caption_data import build_tokenizer

ENCODER = FakeEncoder({"x": np.eye(32)[0]})


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder with a model whose every weight is random."""
    monkeypatch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
    model = VideoModel(ENCODER, TemporalConfig(dim=32, num_heads=2, num_layers=3))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    save_model(model, tmp_path / "model")
    return tmp_path / "model", model


def test_saved_model_loads_the_same(saved):
    folder, model = saved
    again = load_model(str(folder))
    assert again.temporal.config == model.temporal.config
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    assert sorted(entry.name for entry in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_model_keeps_its_labels_and_is_called_by_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
    save_model(VideoModel(ENCODER, labels=("a", "b"), multi_label=True), tmp_path / "model")
    again = load_model(str(tmp_path / "model"))
    assert (again.labels, again.multi_label) == (("a", "b"), True)
    assert again.name == str(tmp_path / "model")
    (tmp_path / "model" / "config.json").rename(tmp_path / "model" / "settings.json")
    with pytest.raises(ModelNotAvailableError, match="its training is not finished; go on with"):
        load_model(str(tmp_path / "model"))


def test_a_model_of_frame_labels_loads_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
    frames = FrameLabelModel(FrameLabelConfig(dim=32, num_labels=2, width=16, num_heads=2)).eval()
    frames.spacing.fill_(0.5)
    model = VideoModel(ENCODER, labels=("a", "b"), frame_labels=frames)
    save_model(model, tmp_path / "model")
    again = load_model(str(tmp_path / "model"))
    assert again.frame_labels.config == frames.config
    timeline = timeline_from_frames(np.zeros((3, 8, 8, 3), np.uint8), ENCODER, fps=2)
    scores = model.label_frames(timeline)
    assert np.allclose(scores.sum(axis=1), 1)
    assert (again.label_frames(timeline) == scores).all()
    frames.cool(2.0)
    logits = np.log(scores) / 2
    assert np.allclose(
        model.label_frames(timeline), np.exp(logits) / np.exp(logits).sum(1)[:, None]
    )


def test_a_model_of_importance_loads_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "load_encoder", lambda name, device: ENCODER)
    importance = ImportanceModel(TemporalConfig(dim=32, num_heads=2, num_layers=1))
    torch.nn.init.normal_(importance.head.project.weight)
    model = VideoModel(ENCODER, importance=importance)
    save_model(model, tmp_path / "model")
    again = load_model(str(tmp_path / "model"))
    assert again.labels == ()
    timeline = timeline_from_frames(np.zeros((3, 8, 8, 3), np.uint8), ENCODER, fps=2)
    start = np.array([0.2, 0.5, 0.9])
    rated = model.rate_frames(timeline, start)
    assert (again.rate_frames(timeline, start) == rated).all()
    assert not np.allclose(rated, start, atol=1e-3)


def test_existing_folder_is_not_overwritten(saved):
    folder, model = saved
    with pytest.raises(InvalidInputError, match="exists; give a new folder"):
        save_model(model, folder)
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_failed_save_leaves_nothing(tmp_path, monkeypatch):
    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(hub, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(VideoModel(ENCODER), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "config.json has kind 'other', expected 'videomm-model'"),
        ({"encoder_fingerprint": "1"}, "trained on encoder fake with weights 1, here they are 0"),
        ({"temporal": {"dim": 32, "depth": 2}}, "unknown key 'depth'; allowed: dim"),
        ({"temporal": {"dim": 32, "num_heads": 2, "num_layers": 1}}, "not a whole model folder"),
    ],
)
def test_folder_that_does_not_fit(saved, change, message):
    folder, _ = saved
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelNotAvailableError, match=message):
        load_model(str(folder))


def test_half_a_folder(saved):
    folder, _ = saved
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotAvailableError, match="not a whole model folder"):
        load_model(str(folder))
    weights.unlink()
    with pytest.raises(ModelNotAvailableError, match="not a whole model folder"):
        load_model(str(folder))


def test_devices():
    assert pick_device("cpu").type == "cpu"
    assert pick_device(None).type in ("cpu", "cuda", "mps")
    with pytest.raises(InvalidInputError, match="device 'gpu' cannot be used here"):
        pick_device("gpu")


def test_tiny_is_listed_first():
    assert list_models()[0] == "tiny"


@pytest.fixture
def describer(tmp_path):
    """A random decoder, saved in the folder `described`."""
    tokenizer = build_tokenizer(["a man's red t-shirt"], 1)
    shape = DecoderConfig(tokenizer.get_vocab_size(), 6, width=8, num_layers=1, num_heads=2)
    given = Describer(TextDecoder(shape), tokenizer, GenerationConfig(beams=2), -1.5, "0")
    save_decoder(given, tmp_path / "described")
    return given


def test_saved_decoder_loads_the_same_in_half_precision(describer, tmp_path):
    folder = tmp_path / "described"
    again = load_decoder(folder, ENCODER)
    assert again.decoder.config == describer.decoder.config
    assert not again.decoder.training
    for key, value in describer.decoder.state_dict().items():
        assert torch.equal(again.decoder.state_dict()[key], value.half().float())
    assert (again.generation, again.threshold) == (GenerationConfig(beams=2), -1.5)
    ids = torch.tensor([again.tokenizer.encode("A man's red T-shirt.").ids, [4, 0, 0, 0, 0]])
    assert again.to_text(ids) == ["a man's red t-shirt", "a"]
    names = ["decoder.json", "decoder.safetensors", "decoder.tokenizer.json"]
    assert sorted(entry.name for entry in folder.iterdir()) == names


def test_no_decoder(tmp_path):
    with pytest.raises(ModelNotAvailableError, match=r"no decoder.json in .*train a decoder with"):
        load_decoder(tmp_path, ENCODER)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "has kind 'other', expected 'videomm-decoder'"),
        ({"encoder_fingerprint": "1"}, "trained on an encoder with weights 1, here they are 0"),
        ({"generation": {"width": 2}}, "is not whole: GenerationConfig: unknown key 'width'"),
        ({"threshold": None}, "is not whole"),
    ],
)
def test_decoder_that_does_not_fit(describer, tmp_path, change, message):
    path = tmp_path / "described" / "decoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelNotAvailableError, match=message):
        load_decoder(path.parent, ENCODER)


@pytest.mark.parametrize("name", ["decoder.safetensors", "decoder.tokenizer.json"])
def test_half_a_decoder(describer, tmp_path, name):
    path = tmp_path / "described" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelNotAvailableError, match="is not whole"):
        load_decoder(path.parent, ENCODER)
    path.unlink()
    with pytest.raises(ModelNotAvailableError, match="is not whole"):
        load_decoder(path.parent, ENCODER)


def test_tokenizer_of_another_decoder(describer, tmp_path):
    build_tokenizer(["a dog"], 1).save(str(tmp_path / "described" / "decoder.tokenizer.json"))
    with pytest.raises(ModelNotAvailableError, match="has 6 tokens, the decoder 9"):
        load_decoder(tmp_path / "described", ENCODER)


def test_the_decoder_beside_an_encoder_is_found(tiny, tmp_path):
    describer = find_decoder(tiny)
    assert describer is not None
    assert describer.encoder_fingerprint == tiny.fingerprint
    assert find_decoder(ENCODER) is None
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in TINY_DIR.iterdir():
        if not file.name.startswith("decoder."):
            shutil.copy(file, bare)
    assert find_decoder(load_encoder(str(bare))) is None
    shutil.copy(TINY_DIR / "decoder.json", bare)
    with pytest.raises(ModelNotAvailableError, match="is not whole"):
        find_decoder(load_encoder(str(bare)))
