import numpy as np
import pytest
import torch

from videomm.models.importance import ImportanceModel
from videomm.models.temporal import TemporalConfig
from videomm.training.importance import (
    ImportanceTrainer,
    RatedFrames,
    disagreement,
    has_order,
    rate,
)

SHAPE = TemporalConfig(dim=8, num_heads=2, num_layers=1)


def video(length, seed=0):
    """People like the first feature; what is untrained tells nothing."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(length, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return RatedFrames(rows, np.arange(length) / 2, rng.random(length), rows[:, 0].astype(float))


def trainer(videos, steps=30, lr=1e-3):
    with torch.random.fork_rng(devices=[]):
        return ImportanceTrainer(videos, SHAPE, steps=steps, batch_size=3, lr=lr, seed=0)


def test_disagreement_is_one_less_the_correlation():
    rated, target = torch.rand(2, 9), torch.rand(2, 9)
    target[0, 6:] = torch.nan
    rows = [(rated[0, :6], target[0, :6]), (rated[1], target[1])]
    expected = np.mean([1 - np.corrcoef(a.numpy(), b.numpy())[0, 1] for a, b in rows])
    assert disagreement(rated, target).item() == pytest.approx(expected, abs=1e-4)
    assert disagreement(2 * target[1:] - 7, target[1:]).item() == pytest.approx(0, abs=1e-5)


def test_ratings_that_are_all_alike_have_a_gradient():
    rated = torch.full((1, 5), 0.5, requires_grad=True)
    disagreement(rated, torch.rand(1, 5)).backward()
    assert rated.grad.isfinite().all()


def test_what_has_an_order():
    assert has_order(np.array([np.nan, 1.0, 2.0]))
    assert not has_order(np.array([np.nan, 1.0, 1.0]))
    assert not has_order(np.array([np.nan, 1.0]))
    assert not has_order(np.array([np.nan]))


def test_padded_videos_are_rated_as_alone():
    model = ImportanceModel(SHAPE).eval()
    torch.nn.init.normal_(model.head.project.weight)
    videos = [video(5), video(9, 1)]
    rated, target = rate(model, videos)
    alone, _ = rate(model, videos[:1])
    assert torch.allclose(rated[0, :5], alone[0], atol=1e-5)
    assert target.isnan().sum() == 4


def test_steps_are_seeded_and_learn():
    videos = [video(20 + i, i) for i in range(5)]
    first, again = trainer(videos, 60, 5e-3), trainer(videos, 60, 5e-3)
    losses = [first.take_step() for _ in range(60)]
    torch.rand(3)
    assert [again.take_step() for _ in range(60)] == losses
    before, target = rate(ImportanceModel(SHAPE).eval(), [video(60, 99)])
    after, _ = rate(first.average.eval(), [video(60, 99)])
    assert disagreement(after, target) < disagreement(before, target) - 0.3


def test_parts_keep_frames_and_ratings_together():
    whole = video(20)
    for step in range(20):
        it = trainer([whole])
        it.step = step
        (part,) = it.draw()
        assert 10 <= len(part.times) <= 20
        first = int(part.times[0] * 2)
        assert np.array_equal(part.target, whole.target[first : first + len(part.times)])
        assert np.array_equal(part.embeddings, whole.embeddings[first : first + len(part.times)])
