"""Towers from a folder: open_clip's outputs without open_clip, and only where that is certain."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from videomm.encoder import TINY_DIR, FrameEncoder, load_encoder
from videomm.errors import ModelNotAvailableError
from videomm.towers.folder import Towers, is_known

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


@pytest.mark.slow
@torch.inference_mode()
def test_open_clip_gives_the_same_from_the_folder(tiny: FrameEncoder) -> None:
    name = f"local-dir:{TINY_DIR.resolve()}"
    model = open_clip.create_model(name, require_pretrained=True).eval()
    ours = Towers(TINY_DIR, torch.device("cpu"))
    images = torch.randn(5, 3, *tiny.image_size)
    texts = ["a cat", "a man in a red shirt climbs a steep wall of grey rock", "x"]
    theirs = model.encode_image(images)
    torch.testing.assert_close(ours.encode_image(images), theirs, atol=1e-4, rtol=1e-4)
    theirs = model.encode_text(open_clip.get_tokenizer(name)(texts))
    ids = ours.load_tokenizer()(texts)
    torch.testing.assert_close(ours.encode_text(ids), theirs, atol=1e-4, rtol=1e-4)
    plain = FrameEncoder(model, "tiny")
    assert (plain.id, plain.dim, plain.logit_scale) == (tiny.id, tiny.dim, tiny.logit_scale)
    assert plain.image_size == tiny.image_size


def copy_tiny(folder: Path, file: str = CONFIG, **changes: Any) -> Path:
    """Its small files, with values changed: `a__b=1` sets config["a"]["b"], None takes it out."""
    for path in TINY_DIR.glob("*.json"):
        shutil.copy(path, folder)
    config = json.loads((folder / file).read_text())
    for key, value in changes.items():
        *way, last = key.split("__")
        place = config
        for step in way:
            place = place[step]
        place[last] = value
        if value is None:
            del place[last]
    (folder / file).write_text(json.dumps(config))
    return folder


def test_other_shapes_and_preprocessing_of_the_kind_are_known(tmp_path: Path) -> None:
    assert is_known(TINY_DIR)
    changes = {"embed_dim": 8, "text_cfg__layers": 1, "vision_cfg__image_size": 64}
    changes = {f"model_cfg__{key}": value for key, value in changes.items()}
    folder = copy_tiny(
        tmp_path, **changes, preprocess_cfg__size=[64, 64], preprocess_cfg__mean=[0.4, 0.5, 0.6]
    )
    assert is_known(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"model_cfg__vision_cfg__timm_model_name": "efficientnet_lite1"},
        {"model_cfg__vision_cfg__timm_pool": "max"},
        {"model_cfg__vision_cfg__timm_proj": "linear"},
        {"model_cfg__vision_cfg__timm_proj_bias": True},
        {"model_cfg__text_cfg__pool_type": "argmax"},
        {"model_cfg__text_cfg__eos_id": None},
        {"model_cfg__text_cfg__no_causal_mask": True},
        {"model_cfg__text_cfg__tokenizer_kwargs": {"clean": "lower"}},
        {"model_cfg__init_logit_bias": -10},
        {"model_cfg__custom_text": None},
        {"model_cfg__text_cfg": None},
        {"preprocess_cfg__size": [224, 224]},
        {"preprocess_cfg__mean": None},
        {"file": "tokenizer_config.json", "padding_side": "left"},
        {"file": "tokenizer_config.json", "truncation_side": "left"},
        {"file": "tokenizer_config.json", "tokenizer_class": "BertTokenizer"},
    ],
    ids=str,
)
def test_what_differs_is_left_to_open_clip(change: dict[str, Any], tmp_path: Path) -> None:
    assert not is_known(copy_tiny(tmp_path, **change))


def test_a_folder_without_its_tokenizer_is_left_to_open_clip(tmp_path: Path) -> None:
    (copy_tiny(tmp_path) / "tokenizer.json").unlink()
    assert not is_known(tmp_path)


def test_missing_or_other_weights_are_an_error(tmp_path: Path) -> None:
    folder = copy_tiny(tmp_path)
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded here: No such file"):
        load_encoder(str(folder))
    state = load_file(TINY_DIR / WEIGHTS)
    state.pop("visual.trunk.conv_stem.weight")
    save_file(state, folder / WEIGHTS)
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded here: Error"):
        load_encoder(str(folder))
    (folder / WEIGHTS).write_bytes(b"cut off")
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded here"):
        load_encoder(str(folder))
