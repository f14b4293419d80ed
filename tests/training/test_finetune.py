import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.fakes import FakeEncoder
from videomm.config import ClassifyConfig, TrainConfig
from videomm.models.video_model import VideoModel
from videomm.tasks.classify import classify_timeline
from videomm.training import finetune
from videomm.training.clips import Clip
from videomm.training.early_stopping import best_epoch
from videomm.training.finetune import (
    calibrate,
    fit,
    gather,
    score,
    start_model,
)
from videomm.training.labelled import Example
from videomm.types import Timeline

DIM = 128
RNG = np.random.default_rng(5)
ENCODER = FakeEncoder(
    {name: RNG.normal(size=DIM) for name in ("cat", "dog", "fox", "something")}, logit_scale=20.0
)
LABELS = ("cat", "dog", "fox")


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def clip(labels, frames, number=0):
    timeline = Timeline(
        embeddings=unit(frames),
        times=np.arange(len(frames)) / 2,
        duration=len(frames) / 2,
        encoder=ENCODER.id,
        path=f"{number}.mp4",
        decoder="none",
        decoder_reason="",
        plan={},
    )
    return Clip(Example(timeline.path, labels), timeline, str(number))


def clips(count, seed=0, noise=0.5):
    """Clips about directions that have nothing to do with the labels' texts."""
    rng = np.random.default_rng(seed)
    out = []
    for number in range(count):
        place = number % 3
        frames = np.eye(DIM)[place] + noise * rng.normal(size=(rng.integers(1, 30), DIM)) / 4
        out.append(clip((LABELS[place],), frames, number))
    return out


def model_for(config, multi_label=False):
    return start_model(VideoModel(ENCODER), LABELS, multi_label, config)


def run(config, path, train=None, val=None):
    model = model_for(config)
    history = fit(
        model, gather(train or clips(30), LABELS), gather(val or clips(9, 1), LABELS), config, path
    )
    return model, history


def accuracy(model, some):
    scores = score(model, gather(some, LABELS), LABELS, False)
    return np.mean(
        [
            LABELS[best] == c.example.labels[0]
            for best, c in zip(scores.argmax(1), some, strict=True)
        ]
    )


@pytest.mark.parametrize("tune", ["head", "temporal"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_untrained_scores_are_those_of_classify(tune, multi_label):
    some = clips(7)
    model = model_for(TrainConfig(tune=tune), multi_label)
    scores = score(model, gather(some, LABELS), LABELS, multi_label)
    config = ClassifyConfig(multi_label=multi_label)
    for row, one in zip(scores, some, strict=True):
        said = classify_timeline(one.timeline, LABELS, VideoModel(ENCODER), config)
        expected = {item.label: item.score for item in said.labels}
        assert row == pytest.approx([expected[name] for name in LABELS], abs=1e-5)


@pytest.mark.parametrize("tune", ["head", "temporal"])
def test_learns(tune, tmp_path):
    model, history = run(TrainConfig(tune=tune, epochs=25, batch_size=10), tmp_path / "c.pt")
    assert history[-1]["train_loss"] < 0.5 * history[1]["train_loss"]
    assert accuracy(model, clips(30, 2)) > 0.9
    assert accuracy(model_for(TrainConfig(tune=tune)), clips(30, 2)) < 0.8
    # What `classify` says of a whole clip is what was measured.
    some = clips(5, 3)
    rows = score(model, gather(some, LABELS), LABELS, False)
    for row, one in zip(rows, some, strict=True):
        best = classify_timeline(one.timeline, None, model).best
        assert best.label == LABELS[row.argmax()]
        assert best.score == pytest.approx(row.max(), abs=1e-5)


@pytest.mark.slow
def test_the_order_of_frames_can_be_learned(tmp_path):
    def ordered(count, seed):
        rng = np.random.default_rng(seed)
        out = []
        for number in range(count):
            halves = np.repeat(np.eye(DIM)[[0, 1]], rng.integers(6, 13), axis=0)
            halves = halves[:: -1 if number % 2 else 1]
            frames = halves + rng.normal(size=halves.shape) / 20
            out.append(clip((LABELS[number % 2],), frames, number))
        return out

    def right(tune):
        config = TrainConfig(tune=tune, epochs=30)
        train, val = ordered(300, 0), ordered(60, 1)
        model, _ = run(config, tmp_path / tune, train, val)
        return accuracy(model, ordered(60, 2))

    assert right("head") < 0.7  # a mean of frames has no order
    assert right("temporal") > 0.95


def bits(model):
    return {key: value.numpy().tobytes() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("tune", ["head", "temporal"])
def test_same_seed_same_bits(tune, tmp_path):
    config = TrainConfig(tune=tune, epochs=4, seed=3)
    first, history = run(config, tmp_path / "a.pt")
    torch.rand(5)  # a different state of the global generator
    again, history_again = run(config, tmp_path / "b.pt")
    assert bits(first) == bits(again)
    assert history == history_again
    other, _ = run(TrainConfig(tune=tune, epochs=4, seed=4), tmp_path / "c.pt")
    assert bits(first) != bits(other)


@pytest.mark.parametrize("tune", ["head", "temporal"])
@pytest.mark.parametrize("steps", [0, 1, 2, 5, 8])
def test_stopped_anywhere_and_resumed_ends_the_same(tune, steps, tmp_path, monkeypatch):
    config = TrainConfig(tune=tune, epochs=4, batch_size=16)
    whole, history = run(config, tmp_path / "whole.pt")
    left = steps

    class Stopping(torch.optim.AdamW):
        def step(self, *args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return super().step(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(finetune.torch.optim, "AdamW", Stopping)
        if steps < 8:
            with pytest.raises(KeyboardInterrupt):
                run(config, tmp_path / "cut.pt")
        else:  # all done, and stopped after that
            run(config, tmp_path / "cut.pt")
    resumed, history_resumed = run(config, tmp_path / "cut.pt")
    assert bits(resumed) == bits(whole)
    assert history_resumed == history


def test_the_best_epoch_is_kept_and_training_stops(tmp_path):
    # Validation contradicts training, so every epoch is worse than none.
    val = [clip((LABELS[(n + 1) % 3],), c.timeline.embeddings, n) for n, c in enumerate(clips(9))]
    config = TrainConfig(tune="head", epochs=40)
    model, history = run(config, tmp_path / "c.pt", val=val)
    best = best_epoch(history)
    assert len(history) - 1 == best + 10
    assert history[best]["val_loss"] <= min(row["val_loss"] for row in history) + 1e-3
    some = gather(val, LABELS)
    texts = finetune.label_vectors(model, LABELS, False)
    loss = finetune._loss_on(model, finetune._pooled(model, some), texts)
    assert loss == pytest.approx(history[best]["val_loss"], abs=1e-6)


def test_best_epoch_needs_a_real_gain():
    losses = [1.0, 0.5, 0.4995, 0.4985, 0.6]
    assert best_epoch([{"val_loss": value} for value in losses]) == 3


def test_rare_labels_weigh_as_much_as_common_ones():
    some = clips(9)[::3] + clips(2)[1:]  # three cats, a dog
    found = gather(some, LABELS)
    assert found.weights.tolist() == pytest.approx([2 / 3] * 3 + [2])
    assert found.targets.tolist() == [[1, 0, 0]] * 3 + [[0, 1, 0]]
    several = gather([clip(("cat", "dog"), np.ones((1, DIM))), clip((), np.ones((1, DIM)))], LABELS)
    assert several.targets.tolist() == [[1, 1, 0], [0, 0, 0]]


def test_batches_take_a_frame_of_each_part():
    one = gather([clip(("cat",), RNG.normal(size=(40, DIM)))], LABELS)
    _, times, mask = finetune._batch(one, [0], 8)
    assert times[0].tolist() == [2.5 * i + 1.0 for i in range(8)]
    assert mask.all()
    drawn = [
        finetune._batch(one, [0], 8, torch.Generator().manual_seed(seed))[1][0] for seed in (0, 1)
    ]
    for times in drawn:
        assert ((times / 2.5).long() == torch.arange(8)).all()
    assert (drawn[0] != drawn[1]).any()


def test_clips_in_a_batch_do_not_change_each_other():
    some = clips(12)
    model = model_for(TrainConfig())
    torch.nn.init.normal_(model.temporal.blocks[0].out.weight, std=0.1)
    together = score(model, gather(some, LABELS), LABELS, False)
    alone = np.concatenate([score(model, gather([c], LABELS), LABELS, False) for c in some])
    assert together == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_temperature_is_the_likeliest(multi_label):
    some = gather(clips(30, noise=4), LABELS)
    model = model_for(TrainConfig(tune="head"), multi_label)
    texts = finetune.label_vectors(model, LABELS, multi_label)
    logits = finetune._logits(model, some, texts, None).double()
    even = 0.5 if multi_label else 1 / 3
    targets = (some.targets.double() * 30 + even) / 31

    def loss(temperature):
        if multi_label:
            return F.binary_cross_entropy_with_logits(logits / temperature, targets)
        return -(targets * (logits / temperature).log_softmax(-1)).sum(-1).mean()

    before = score(model, some, LABELS, multi_label)
    temperature = calibrate(model, some)
    around = [loss(temperature * factor) for factor in (0.97, 1.0, 1.03)]
    assert around[1] < min(around[0], around[2])
    after = score(model, some, LABELS, multi_label)
    odds = [np.log(s / (1 - s) if multi_label else s[:, 1:] / s[:, :1]) for s in (before, after)]
    assert odds[0] == pytest.approx(odds[1] * temperature, abs=1e-3)


def test_perfect_clips_give_no_infinite_scale():
    model = model_for(TrainConfig(tune="head"))
    same = [clip((name,), ENCODER.vectors[name][None]) for name in LABELS]
    assert 0.02 < calibrate(model, gather(same, LABELS)) < 10
