"""Models of random weights, small enough to be exported in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

from tests.test_encoder import small_model
from videomm.encoder import FrameEncoder
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel


def small_encoder() -> FrameEncoder:
    """An encoder of open_clip's own kind, 64 wide."""
    return FrameEncoder(small_model(), "small", "cpu", lambda: open_clip.get_tokenizer("ViT-B-32"))


def write_small_encoder(folder: Path, seed: int = 0) -> Path:
    """A folder that open_clip reads, with the towers of `small_encoder`."""
    folder.mkdir()
    model = small_model(seed)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    shapes = {
        "embed_dim": 64,
        "vision_cfg": {"layers": 1, "width": 64, "patch_size": 32, "image_size": 64},
        "text_cfg": {"layers": 1, "width": 64, "heads": 1},
    }
    config = {"model_cfg": shapes, "preprocess_cfg": model.visual.preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def random_model(encoder: FrameEncoder, *, multi_label: bool = False) -> VideoModel:
    """A model with three labels, whose frames attend to each other at random."""
    torch.manual_seed(1)
    shape = TemporalConfig(dim=encoder.dim, num_layers=1, num_heads=2)
    labels = ("checks", "a dot", "stripes")
    model = VideoModel(encoder, shape, labels=labels, multi_label=multi_label)
    for parameter in model.temporal.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model
