"""Training of per-frame labels from a few labelled videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videomm.config import Config
from videomm.errors import InvalidInputError
from videomm.models.frame_labels import FrameLabelConfig, FrameLabelModel
from videomm.training.averaged import AveragedTraining
from videomm.training.schedule import step_seed

IGNORED = -100  # the label of padding
MIXED_FRAMES = (2, 12)  # mean length of a video's mixed stretches, drawn evenly in its logarithm


@dataclass(frozen=True)
class LabelledFrames:
    """One video to learn from.

    Attributes:
        features: float (N, D), of any length.
        times: (N,) seconds.
        labels: int (N,), from 0.
    """

    features: npt.NDArray[np.floating[Any]]
    times: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        length = len(self.labels)
        if (
            self.features.ndim != 2
            or self.labels.ndim != 1
            or not length
            or len(self.features) != length
            or self.times.shape != (length,)
        ):
            raise InvalidInputError(
                "a labelled video needs features (N, D), times (N,) and labels (N,), N at least 1, "
                f"got {self.features.shape}, {self.times.shape} and {self.labels.shape}"
            )
        if not np.isfinite(self.features).all() or not np.isfinite(self.times).all():
            raise InvalidInputError("features and times must be finite, got NaN or infinity")


@dataclass(frozen=True)
class FrameLabelTraining(Config):
    """Settings of `fit_frame_labels`.

    Attributes:
        steps: batches in all.
        batch_size: videos a batch; all of them where there are fewer.
        lr: peak learning rate.
        warmup_steps: steps until the peak.
        weight_decay: AdamW's.
        smoothing: weight of `smoothing_loss`.
        stretch: videos are played up to e ** stretch times as fast or as slow.
        mixing: stretches of a video are mixed with another video's, up to this share.
        balance: frames weigh their label's count to the power of minus this: 0 takes all frames
            alike, 1 all labels.
        ema_decay: of the averaged weights, which are the result.
        save_every: steps between checkpoints.
        seed: everything random follows from it.
    """

    steps: int = 400
    batch_size: int = 7
    lr: float = 2e-3
    warmup_steps: int = 20
    weight_decay: float = 0.05
    smoothing: float = 0.15
    stretch: float = 0.3
    mixing: float = 0.7
    balance: float = 0.0
    ema_decay: float = 0.98
    save_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.save_every < 1:
            raise InvalidInputError(
                "steps, batch_size and save_every must be at least 1, got "
                f"{self.steps}, {self.batch_size} and {self.save_every}"
            )
        if not (0 <= self.mixing <= 1 and 0 <= self.balance <= 1 and self.stretch >= 0):
            raise InvalidInputError(
                "mixing and balance must be between 0 and 1 and stretch at least 0, got "
                f"mixing={self.mixing}, balance={self.balance}, stretch={self.stretch}"
            )


def smoothing_loss(logits: Tensor, mask: Tensor, most: float = 4.0) -> Tensor:
    """How much the log-probabilities of neighbouring frames differ, squared and truncated.

    Farha & Gall 2019 (MS-TCN, https://arxiv.org/abs/1903.01945), section 3.3: the earlier
    frame gets no gradient.

    Args:
        logits: float (B, N, L).
        mask: bool (B, N), True for frames, padding at the end.
        most: where a difference is cut off.

    Returns:
        The mean over frames that have one before them, and over labels; 0 where there is none.
    """
    log_share = logits.log_softmax(-1)
    apart = (log_share[:, 1:] - log_share[:, :-1].detach()).abs().clamp(max=most)
    pairs = mask[:, 1:, None]
    return (apart.square() * pairs).sum() / (pairs.sum() * logits.shape[-1]).clamp(min=1)


def change_speed(video: LabelledFrames, most: float, rng: np.random.Generator) -> LabelledFrames:
    """The same video up to e ** most times as fast or as slow, evenly sampled at its mean rate."""
    length = len(video.labels)
    count = max(1, round(length * float(np.exp(rng.uniform(-most, most)))))
    rows = ((np.arange(count) + rng.random()) * length / count).astype(int)
    step = (video.times[-1] - video.times[0]) / max(1, length - 1)
    times = video.times[0] + step * np.arange(count)
    return LabelledFrames(video.features[rows], times, video.labels[rows])


def mix_stretches(
    features: npt.NDArray[np.floating[Any]],
    others: Sequence[npt.NDArray[np.floating[Any]]],
    most: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.floating[Any]]:
    """Mix each of a video's stretches with frames of another video; the labels stay its own.

    Features may have been fitted to the very videos that are learned from, and then tell labels
    apart there as they never will in a new video. Mixed with features that speak for something
    else, over stretches as long as actions, a frame alone no longer tells: context has to.

    Args:
        features: float (N, D).
        others: float (M, D) each, to mix with.
        most: the largest share of another frame; shares are uniform between 0 and this.
        rng: everything random follows from it.

    Returns:
        Float (N, D).
    """
    mixed, start = features.copy(), 0
    mean_length = float(np.exp(rng.uniform(*np.log(MIXED_FRAMES))))
    while start < len(features):
        other = others[int(rng.integers(len(others)))]
        length = min(1 + int(rng.geometric(1 / mean_length)), len(features) - start, len(other))
        first = int(rng.integers(len(other) - length + 1))
        stretch, share = slice(start, start + length), rng.uniform(0, most)
        mixed[stretch] += share * (other[first : first + length] - mixed[stretch])
        start += length
    return mixed


def pad_videos(videos: Sequence[LabelledFrames]) -> tuple[Tensor, Tensor, Tensor]:
    """Features float32 (B, N, D), times float64 (B, N) and labels (B, N), -100 where padded."""
    pad = nn.utils.rnn.pad_sequence
    features = [torch.from_numpy(np.array(video.features, np.float32)) for video in videos]
    times = [torch.from_numpy(np.array(video.times, np.float64)) for video in videos]
    labels = [torch.from_numpy(np.asarray(video.labels, np.int64)) for video in videos]
    return pad(features, True), pad(times, True), pad(labels, True, IGNORED)


def fit_frame_labels(
    videos: Sequence[LabelledFrames],
    shape: FrameLabelConfig,
    config: FrameLabelTraining | None = None,
    checkpoint: Path | None = None,
) -> FrameLabelModel:
    """Learn to label frames.

    Cross-entropy of every frame plus a smoothing loss, summed over the model's stages, on videos
    that are played faster and slower and mixed with each other; the weights are averaged over
    steps. On a CPU the result is the same for the same seed and number of threads, and a resumed
    training gives what an unbroken one does.

    Args:
        videos: what to learn from.
        shape: of the model; its dim is the features' width.
        config: settings; None takes the defaults.
        checkpoint: a file to save to, and to go on from where it exists.

    Returns:
        The model, in evaluation mode on the CPU.

    Raises:
        InvalidInputError: there is no video, features or labels do not fit the shape, or the
            checkpoint is of other settings.
    """
    config = config or FrameLabelTraining()
    with torch.random.fork_rng(devices=[]):
        trainer = FrameLabelTrainer(videos, shape, config)
        if checkpoint is not None and checkpoint.exists():
            trainer.load(checkpoint)
        while trainer.step < config.steps:
            trainer.take_step()
            if checkpoint is not None and (
                trainer.step % config.save_every == 0 or trainer.step == config.steps
            ):
                trainer.save(checkpoint)
    return trainer.average.eval()


def label_weights(videos: Sequence[LabelledFrames], num_labels: int, balance: float) -> Tensor:
    """What a frame of each label weighs in the loss: float32 (L,), 1 for the mean frame.

    A label that no frame has weighs nothing.
    """
    labels = np.concatenate([video.labels for video in videos])
    counts = np.bincount(labels, minlength=num_labels).astype(np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -balance, 0.0)
    return torch.from_numpy(weights * counts.sum() / (weights @ counts)).float()


def label_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy, a mean over frames by their weights.

    Args:
        logits: float (B, N, L).
        labels: int (B, N), -100 where padded.
        weights: float (L,), of `label_weights`.
    """
    loss: Tensor = F.cross_entropy(logits.mT, labels, weights, ignore_index=IGNORED)
    return loss


class FrameLabelTrainer(AveragedTraining[FrameLabelModel]):
    """One training of per-frame labels; see `fit_frame_labels`."""

    def __init__(
        self,
        videos: Sequence[LabelledFrames],
        shape: FrameLabelConfig,
        config: FrameLabelTraining,
    ) -> None:
        _check_videos(videos, shape)
        self.videos, self.config = videos, config
        self.weights = label_weights(videos, shape.num_labels, config.balance)
        torch.manual_seed(config.seed)
        model = FrameLabelModel(shape)
        features = np.concatenate([video.features for video in videos]).astype(np.float64)
        model.mean.copy_(torch.from_numpy(features.mean(0)))
        # A feature that never varies tells nothing; it is not blown up either.
        deviation = features.std(0)
        model.deviation.copy_(torch.from_numpy(np.where(deviation > 1e-6, deviation, 1.0)))
        steps = [np.diff(video.times) for video in videos if len(video.times) > 1]
        model.spacing.fill_(float(np.median(np.concatenate(steps))) if steps else 0.0)
        group = {
            "params": list(model.parameters()),
            "peak": config.lr,
            "weight_decay": config.weight_decay,
        }
        super().__init__(
            model,
            [group],
            {"shape": shape.to_dict(), "training": config.to_dict()},
            steps=config.steps,
            warmup_steps=config.warmup_steps,
            ema_decay=config.ema_decay,
        )

    def draw(self) -> list[LabelledFrames]:
        """The videos of this step, seeded a step, so that a resumed run draws the same."""
        rng = np.random.default_rng([self.config.seed, self.step])
        size = min(self.config.batch_size, len(self.videos))
        others = [video.features for video in self.videos]
        drawn = []
        for row in rng.choice(len(self.videos), size, replace=False):
            video = change_speed(self.videos[row], self.config.stretch, rng)
            mixed = mix_stretches(video.features, others, self.config.mixing, rng)
            drawn.append(LabelledFrames(mixed, video.times, video.labels))
        return drawn

    def take_step(self) -> float:
        """One batch: forward, backward, update, average; returns the last stage's `label_loss`."""
        config = self.config
        features, times, labels = pad_videos(self.draw())
        torch.manual_seed(step_seed(config.seed, self.step))  # for dropout
        mask = labels != IGNORED
        loss = own = torch.zeros(())
        for logits in self.model.train().all_stages(features, times, mask):
            own = label_loss(logits, labels, self.weights)
            loss = loss + own + config.smoothing * smoothing_loss(logits, mask)
        self.update(loss)
        return float(own.detach())


def _check_videos(videos: Sequence[LabelledFrames], shape: FrameLabelConfig) -> None:
    if not videos:
        raise InvalidInputError("there is no video to learn from; give at least one")
    for number, video in enumerate(videos):
        if video.features.shape[1] != shape.dim:
            raise InvalidInputError(
                f"video {number} has features of width {video.features.shape[1]}, the model's dim "
                f"is {shape.dim}"
            )
        if video.labels.min() < 0 or video.labels.max() >= shape.num_labels:
            raise InvalidInputError(
                f"labels must be 0..{shape.num_labels - 1}, got {video.labels.min()}.."
                f"{video.labels.max()} in video {number}"
            )
