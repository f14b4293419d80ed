from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.sharing.models import random_model, small_encoder
from videomm.models.video_model import VideoModel
from videomm.sharing.graphs import CLASSIFIER, IMAGE, TEXT, ClassifierGraph, ImageGraph, TextGraph
from videomm.sharing.parity import greatest_difference, sample_inputs

INPUTS = {IMAGE: ["images"], TEXT: ["ids"], CLASSIFIER: ["embeddings", "times", "mask"]}


class Session:
    """A graph with onnxruntime's face, and its outputs changed on the way out."""

    def __init__(self, graph, name, change=lambda values: values):
        self.graph, self.names, self.change = graph.eval(), INPUTS[name], change

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self.names]

    @torch.inference_mode()
    def run(self, _, feeds):
        found = self.graph(*(torch.from_numpy(feeds[name]) for name in self.names))
        found = (found,) if isinstance(found, torch.Tensor) else found
        return [self.change(values.numpy()) for values in found]


@pytest.fixture(scope="module")
def model():
    return random_model(small_encoder())


@pytest.fixture(scope="module")
def samples(model):
    return sample_inputs(model) | sample_inputs(VideoModel(model.encoder))


def graphs(model):
    towers = model.encoder.towers
    return {
        IMAGE: ImageGraph(towers), TEXT: TextGraph(towers), CLASSIFIER: ClassifierGraph(model)
    }  # fmt: skip


@pytest.mark.parametrize("name", [IMAGE, TEXT, CLASSIFIER])
def test_the_same_is_found_the_same_and_what_differs_is_found(model, samples, name):
    graph = graphs(model)[name]

    def compare(change=lambda values: values):
        return greatest_difference(Session(graph, name, change), model, name, samples[name])

    assert compare() < 1e-5
    assert compare(lambda values: values + np.float32(0.25)) == pytest.approx(0.25, abs=1e-4)
    assert np.isnan(compare(lambda values: values * np.nan))
    assert np.isnan(compare(lambda values: values[..., :-1]))


def test_padding_that_leaks_is_found(model, samples):
    graph = ClassifierGraph(model)

    class Leaks(torch.nn.Module):
        def forward(self, embeddings, times, mask):
            return graph(embeddings, times, torch.ones_like(mask))

    found = greatest_difference(
        Session(Leaks(), CLASSIFIER), model, CLASSIFIER, samples[CLASSIFIER]
    )
    assert found > 0.01


def test_inputs_are_of_several_sizes_and_padded(samples):
    assert [len(images) for (images,) in samples[IMAGE]] == [2, 1, 5]
    shapes = [tuple(mask.shape) for *_, mask in samples[CLASSIFIER]]
    assert shapes == [(2, 40), (1, 1), (1, 5), (4, 40)]
    assert [int((~mask).sum()) for *_, mask in samples[CLASSIFIER]] == [33, 0, 0, 107]
    assert [len(ids) for (ids,) in samples[TEXT]] == [2, 1, 4]
