import numpy as np
import pytest
import torch

from tests.sharing.models import random_model, small_encoder
from videomm.sharing.graphs import ClassifierGraph, ImageGraph, TextGraph
from videomm.tasks.classify import classify_timeline
from videomm.timeline import timeline_from_frames


@pytest.fixture(scope="module")
def small():
    return small_encoder()


@pytest.mark.parametrize("name", ["tiny", "small"])
@torch.inference_mode()
def test_towers_give_what_the_encoder_gives(name, request):
    encoder = request.getfixturevalue(name)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 90, 120, 3), dtype=np.uint8)
    found = ImageGraph(encoder.towers)(encoder.preprocess(pixels))
    # The encoder's own products may be of half precision.
    assert float((found.numpy() * encoder.encode_frames(pixels)).sum(axis=1).min()) > 0.9999
    texts = ["a cat", "two dogs on a beach"]
    found = TextGraph(encoder.towers)(encoder.tokenize(texts))
    np.testing.assert_allclose(found.numpy(), encoder.encode_text(texts), atol=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
@torch.inference_mode()
def test_the_classifier_gives_what_classify_gives(small, multi_label):
    model = random_model(small, multi_label=multi_label)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    timeline = timeline_from_frames(pixels, small, fps=2)
    scores, frame_scores = ClassifierGraph(model)(
        torch.tensor(timeline.embeddings)[None],
        torch.tensor(timeline.times)[None],
        torch.ones(1, 6, dtype=torch.bool),
    )
    assert frame_scores.shape == (1, 6, 3)
    expected = {item.label: item.score for item in classify_timeline(timeline, None, model).labels}
    for label, score in zip(model.labels, scores[0], strict=True):
        assert float(score) == pytest.approx(expected[label], abs=1e-5)
