"""Models of random weights, small enough to be exported in seconds."""

from __future__ import annotations

import open_clip
import torch

from tests.test_encoder import small_model
from videomm.encoder import FrameEncoder
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel


def small_encoder() -> FrameEncoder:
    """An encoder of open_clip's own kind, 64 wide."""
    return FrameEncoder(small_model(), "small", "cpu", lambda: open_clip.get_tokenizer("ViT-B-32"))


def random_model(encoder: FrameEncoder, *, multi_label: bool = False) -> VideoModel:
    """A model with three labels, whose frames attend to each other at random."""
    torch.manual_seed(1)
    shape = TemporalConfig(dim=encoder.dim, num_layers=1, num_heads=2)
    labels = ("checks", "a dot", "stripes")
    model = VideoModel(encoder, shape, labels=labels, multi_label=multi_label)
    for parameter in model.temporal.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model
