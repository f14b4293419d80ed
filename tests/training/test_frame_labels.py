"""Training of per-frame labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from videomm.errors import InvalidInputError
from videomm.models.frame_labels import FrameLabelConfig
from videomm.training.frame_labels import (
    FrameLabelTraining,
    LabelledFrames,
    change_speed,
    fit_frame_labels,
    label_loss,
    label_weights,
    mix_stretches,
    pad_videos,
    smoothing_loss,
)

SHAPE = FrameLabelConfig(dim=5, num_labels=3, width=16, num_heads=2, num_convolutions=2)
QUICK = FrameLabelTraining(steps=6, batch_size=3, save_every=2)


def video(length: int = 20, seed: int = 0) -> LabelledFrames:
    """Label 1 for a third of the time; the features tell, through noise."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(length, np.int64)
    start = int(rng.integers(length - length // 3))
    labels[start : start + length // 3] = 1
    features = rng.normal(size=(length, 5)).astype(np.float32)
    features[:, 0] += labels
    return LabelledFrames(features, np.arange(length) / 2, labels)


VIDEOS = [video(15 + i, seed=i) for i in range(4)]


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_smoothing_loss_agrees_with_a_naive_loop() -> None:
    logits = 3 * torch.randn(2, 6, 4)
    lengths = [6, 3]
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    log_share = logits.log_softmax(-1).numpy()
    terms = [
        min(abs(log_share[b, t, c] - log_share[b, t - 1, c]), 4.0) ** 2
        for b in range(2)
        for t in range(1, lengths[b])
        for c in range(4)
    ]
    assert any(term == 16 for term in terms)
    assert smoothing_loss(logits, mask).item() == pytest.approx(np.mean(terms), rel=1e-5)
    assert smoothing_loss(logits[:, :1], mask[:, :1]).item() == 0


def test_smoothing_loss_gives_the_earlier_frame_no_gradient() -> None:
    logits = torch.randn(1, 2, 3, requires_grad=True)
    smoothing_loss(logits, torch.ones(1, 2, dtype=torch.bool)).backward()
    assert (logits.grad[0, 0] == 0).all()
    assert (logits.grad[0, 1] != 0).any()


def test_speed_keeps_order_labels_and_rate() -> None:
    rng = np.random.default_rng(0)
    lengths = set()
    for _ in range(50):
        played = change_speed(VIDEOS[0], 0.5, rng)
        lengths.add(len(played.labels))
        rows = [
            np.flatnonzero((VIDEOS[0].features == row).all(1)).item() for row in played.features
        ]
        assert rows == sorted(rows)
        assert (played.labels == VIDEOS[0].labels[rows]).all()
        assert np.allclose(np.diff(played.times), 0.5)
    assert min(lengths) >= 9
    assert max(lengths) <= 25
    assert len(lengths) > 10
    assert len(change_speed(video(3), 0.0, rng).labels) == 3


def test_mixing_takes_shares_of_stretches_in_order() -> None:
    rng = np.random.default_rng(0)
    other = 1 + np.arange(400, dtype=np.float32)[:, None]
    mixed = mix_stretches(np.zeros((300, 1), np.float32), [other], 0.5, rng)[:, 0]
    assert mixed.min() >= 0
    assert (mixed <= 0.5 * 400).all()
    # Within a stretch the other's frames go on, so that what is added grows by one share.
    steps = np.diff(mixed)
    same = np.isclose(steps[1:], steps[:-1], rtol=1e-3, atol=1e-3)
    assert same.mean() > 0.3
    nothing = mix_stretches(VIDEOS[0].features, [VIDEOS[1].features], 0.0, rng)
    assert (nothing == VIDEOS[0].features).all()


def test_mixing_fills_a_video_that_is_longer_than_the_others() -> None:
    one = np.ones((1, 2), np.float32)
    mixed = mix_stretches(np.zeros((50, 2), np.float32), [one], 1.0, np.random.default_rng(0))
    assert (mixed > 0).all()


def test_padding_is_ignored() -> None:
    features, times, labels = pad_videos([video(4), video(7)])
    assert features.shape == (2, 7, 5)
    assert times.shape == labels.shape == (2, 7)
    assert (labels[0, 4:] == -100).all()
    assert (labels[1] >= 0).all()


def test_same_seed_same_model_whatever_was_drawn_before() -> None:
    first = fit_frame_labels(VIDEOS, SHAPE, QUICK)
    torch.rand(7)
    state = torch.get_rng_state()
    again = fit_frame_labels(VIDEOS, SHAPE, QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(first), weights(again))
    assert not first.training
    other = fit_frame_labels(VIDEOS, SHAPE, dataclasses.replace(QUICK, seed=1))
    assert not torch.equal(weights(first), weights(other))


def test_a_resumed_training_gives_what_an_unbroken_one_does(tmp_path, monkeypatch) -> None:
    unbroken = fit_frame_labels(VIDEOS, SHAPE, QUICK)
    checkpoint = tmp_path / "state.pt"
    import videomm.training.frame_labels as module

    take_step, taken = module.FrameLabelTrainer.take_step, []

    def killed(self):
        if self.step == 5 and len(taken) == 5:
            raise KeyboardInterrupt
        taken.append(self.step)
        take_step(self)

    monkeypatch.setattr(module.FrameLabelTrainer, "take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_frame_labels(VIDEOS, SHAPE, QUICK, checkpoint)
    resumed = fit_frame_labels(VIDEOS, SHAPE, QUICK, checkpoint)
    assert taken == [0, 1, 2, 3, 4, 4, 5]
    assert torch.equal(weights(unbroken), weights(resumed))
    done = fit_frame_labels(VIDEOS, SHAPE, QUICK, checkpoint)
    assert len(taken) == 7
    assert torch.equal(weights(done), weights(resumed))
    with pytest.raises(InvalidInputError, match="checkpoint of other settings: remove it"):
        fit_frame_labels(VIDEOS, SHAPE, dataclasses.replace(QUICK, lr=1.0), checkpoint)


@pytest.mark.slow
def test_it_learns_what_a_frame_alone_does_not_tell() -> None:
    train, test = [video(40, seed=i) for i in range(20)], [video(40, seed=i) for i in range(90, 99)]
    model = fit_frame_labels(train, SHAPE, FrameLabelTraining(steps=200))
    right, alone = [], []
    for v in test:
        logits = model(torch.from_numpy(v.features)[None], torch.from_numpy(v.times)[None])
        right.append(logits[0].argmax(1).numpy() == v.labels)
        alone.append([(v.features[:, 0] > least) == v.labels for least in np.linspace(-1, 2, 31)])
    # Even the best threshold on the one feature that tells anything is wrong in a quarter.
    best = np.concatenate(alone, axis=1).mean(1).max()
    assert np.concatenate(right).mean() > best + 0.03


def test_weights_of_labels_even_out_their_counts() -> None:
    labels = [np.repeat([0, 1], [90, 6]), np.repeat([0], 4)]
    videos = [LabelledFrames(np.zeros((len(x), 5)), np.arange(len(x)), x) for x in labels]
    counts = np.array([94, 6])
    for balance in (0.0, 0.5, 1.0):
        weights = label_weights(videos, 3, balance).numpy()
        assert weights[2] == 0
        assert weights[:2] @ counts == pytest.approx(100, rel=1e-5)
        assert weights[1] / weights[0] == pytest.approx((94 / 6) ** balance, rel=1e-5)


def test_the_loss_is_a_mean_by_weights() -> None:
    logits, weights = torch.randn(2, 3, 4), torch.tensor([1.0, 2.0, 0.5, 0.0])
    labels = torch.tensor([[0, 1, 2], [1, -100, -100]])
    share = logits.log_softmax(-1)
    terms = [(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 1)]
    loss = -sum(weights[c] * share[b, t, c] for b, t, c in terms) / 5.5
    assert label_loss(logits, labels, weights).item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_distance_of_frames_is_kept() -> None:
    assert float(fit_frame_labels(VIDEOS, SHAPE, QUICK).spacing) == 0.5


def test_a_feature_that_never_varies_is_harmless() -> None:
    flat = [dataclasses.replace(v, features=v.features * [1, 0, 1, 1, 1]) for v in VIDEOS]
    assert weights(fit_frame_labels(flat, SHAPE, QUICK)).isfinite().all()


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InvalidInputError, match="no video to learn from"):
        fit_frame_labels([], SHAPE)
    with pytest.raises(InvalidInputError, match=r"video 0 has features of width 5.* dim is 6"):
        fit_frame_labels(VIDEOS, dataclasses.replace(SHAPE, dim=6))
    wrong = dataclasses.replace(VIDEOS[1], labels=VIDEOS[1].labels + 2)
    with pytest.raises(InvalidInputError, match=r"labels must be 0\.\.2, got 2\.\.3 in video 1"):
        fit_frame_labels([VIDEOS[0], wrong], SHAPE)
    with pytest.raises(InvalidInputError, match=r"got \(3, 5\), \(4,\) and \(4,\)"):
        LabelledFrames(np.zeros((3, 5)), np.zeros(4), np.zeros(4, int))
    with pytest.raises(InvalidInputError, match="finite"):
        LabelledFrames(np.full((4, 5), np.nan), np.zeros(4), np.zeros(4, int))
    with pytest.raises(InvalidInputError, match="at least 1, got 0, 7 and 100"):
        FrameLabelTraining(steps=0)
    with pytest.raises(InvalidInputError, match=r"between 0 and 1 .* got mixing=1.5, balance=0.0"):
        FrameLabelTraining(mixing=1.5)
