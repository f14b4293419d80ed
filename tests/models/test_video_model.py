import numpy as np
import pytest
import torch

from tests.fakes import FakeEncoder
from videomm.errors import InvalidInputError
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel
from videomm.timeline import timeline_from_frames

ENCODER = FakeEncoder({"x": np.eye(16)[0]})


def test_untrained_scores_are_those_of_mean_pooled_clip():
    images = torch.nn.functional.normalize(torch.randn(2, 5, 16), dim=-1)
    texts = torch.nn.functional.normalize(torch.randn(3, 16), dim=-1)
    times = torch.arange(5.0).repeat(2, 1)
    pooled = torch.nn.functional.normalize(images.mean(1), dim=-1)
    assert torch.allclose(
        VideoModel(ENCODER)(images, times, texts), 10 * pooled @ texts.T, atol=1e-5
    )


def test_attends_to_a_timeline():
    pixels = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
    timeline = timeline_from_frames(pixels, ENCODER, fps=2)
    context = VideoModel(ENCODER).attend(timeline)
    assert context.frames.shape == (1, 3, 16)
    assert np.allclose(context.frames[0].numpy(), timeline.embeddings, atol=1e-6)


def test_width_must_be_the_encoders():
    with pytest.raises(InvalidInputError, match="dim 32 is not fake's 16"):
        VideoModel(ENCODER, TemporalConfig(dim=32))
