"""Training of head and temporal Transformer on labelled timelines, and what they then say.

Everything drawn at random is seeded an epoch, not a run, so that a run that was killed and goes on
draws what an unbroken one does: on the CPU both end with the same bits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from videomm.config import TrainConfig
from videomm.models.fusion import Spoken, join_spoken, no_speech, spoken_of
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel
from videomm.tasks.classify import embed_labels
from videomm.training.clips import Clip
from videomm.training.early_stopping import count_epochs, fit_epochs
from videomm.training.schedule import learning_rate, step_seed
from videomm.training.splits import strata
from videomm.types import Array

TRAIN_FRAMES = 8  # of a clip a step, others in every epoch
CHECK_FRAMES = 64  # of a clip in the validation of an epoch
WARMUP = 0.1  # of all steps
WEIGHT_DECAY = 0.05  # of the temporal Transformer's matrices
# One step of Adam moves every weight by about its rate, so a logit by about rate * scale * dim.
_TEMPORAL_RATE = 0.15


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Clips as tensors.

    Attributes:
        embeddings: M of float32 (N, D).
        times: M of float64 (N,).
        targets: float32 (M, L), 1 for the labels of a clip.
        weights: float32 (M,), of a clip in the loss; mean 1.
        spoken: M of what is said in them, one clip each.
    """

    embeddings: list[Tensor]
    times: list[Tensor]
    targets: Tensor
    weights: Tensor
    spoken: list[Spoken]

    def __len__(self) -> int:
        return len(self.embeddings)


def gather(clips: Sequence[Clip], labels: Sequence[str]) -> ClipSet:
    """Clips as tensors, each label with the same weight in all.

    A clip weighs the inverse of how many share its label, its rarest where it has several.
    """
    examples = [clip.example for clip in clips]
    places = {name: place for place, name in enumerate(labels)}
    targets = torch.zeros(len(clips), len(labels))
    for row, example in enumerate(examples):
        targets[row, [places[name] for name in example.labels]] = 1.0
    kinds = strata(examples)
    counts = Counter(kinds)
    weights = torch.tensor([len(kinds) / (len(counts) * counts[kind]) for kind in kinds])
    embeddings = [torch.from_numpy(np.array(clip.timeline.embeddings)) for clip in clips]
    times = [torch.from_numpy(np.array(clip.timeline.times)) for clip in clips]
    return ClipSet(embeddings, times, targets, weights, [_spoken(clip) for clip in clips])


def _spoken(clip: Clip) -> Spoken:
    speech, dim = clip.timeline.speech, clip.timeline.embeddings.shape[1]
    return no_speech(1, dim) if speech is None else spoken_of(speech)


def start_model(
    model: VideoModel, labels: Sequence[str], multi_label: bool, config: TrainConfig
) -> VideoModel:
    """An untrained model on the same encoder: it scores exactly as zero-shot does."""
    layers = {"num_layers": 0} if config.tune == "head" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        out = VideoModel(
            model.encoder,
            TemporalConfig(dim=model.encoder.dim, **layers),
            labels=labels,
            multi_label=multi_label,
            fusion=config.fusion,
        )
    # Scale and bias are `calibrate`'s.
    out.requires_grad_(False)
    out.temporal.requires_grad_(True)
    out.classifier.weight.requires_grad_(True)
    if out.speech is not None:
        out.speech.requires_grad_(True)
    return out


def label_vectors(model: VideoModel, labels: Sequence[str], multi_label: bool) -> Tensor:
    """Labels as float32 (L, D) on the model's device; see `embed_labels`."""
    vectors = embed_labels(model.encoder, labels, multi_label)
    return torch.from_numpy(np.array(vectors)).to(model.encoder.device)


def fit(
    model: VideoModel,
    train: ClipSet,
    val: ClipSet,
    config: TrainConfig,
    checkpoint: Path,
    *,
    progress: bool = False,
) -> list[dict[str, float]]:
    """Train in place; the model ends as it was when its validation loss was least.

    See `fit_epochs` for when training stops.

    Args:
        model: of `start_model`.
        train: clips to learn from.
        val: clips that choose the epoch.
        config: settings.
        checkpoint: written after every epoch; a run that finds it goes on from there.
        progress: draw a progress bar on stderr where that is a terminal.

    Returns:
        The history, a row an epoch from 0: `epoch`, `train_loss` (none in the first) and
        `val_loss`.
    """
    texts = label_vectors(model, model.labels, model.multi_label)
    if config.tune == "head" and config.fusion == "none":
        train, val = _pooled(model, train), _pooled(model, val)
    steps = math.ceil(len(train) / config.batch_size)
    epochs = count_epochs(config.epochs, steps)
    training = _ClipTraining(model, train, val, texts, config, steps * epochs)
    history = fit_epochs(training, epochs, checkpoint, progress=progress)
    model.eval()
    return history


class _ClipTraining:
    """Training of a model in place, in passes over clips; see `fit`."""

    def __init__(
        self,
        model: VideoModel,
        train: ClipSet,
        val: ClipSet,
        texts: Tensor,
        config: TrainConfig,
        steps: int,
    ) -> None:
        self.kept, self.train, self.val = model, train, val
        self.texts, self.config = texts, config
        self.optimizer = torch.optim.AdamW(_groups(model, config))
        self.schedule = warmed_up(self.optimizer, steps)

    def run_epoch(self, epoch: int) -> float:
        """One pass over the clips; returns the mean loss."""
        seed = step_seed(self.config.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.train), generator=generator)
        total = 0.0
        self.kept.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of the dropout
            for rows in order.split(self.config.batch_size):
                total += self._take_step(rows, generator) * len(rows)
        self.kept.eval()
        return total / len(self.train)

    def _take_step(self, rows: Tensor, generator: torch.Generator) -> float:
        model, clips = self.kept, self.train
        batch = _batch(clips, rows.tolist(), TRAIN_FRAMES, generator)
        spoken = _said(model, clips, rows.tolist())
        logits = model(*_on(model, *batch[:2]), self.texts, *_on(model, batch[2]), spoken)
        targets, weights = _on(model, clips.targets[rows], clips.weights[rows])
        loss = losses_of(logits, targets, model.multi_label) @ weights / len(rows)
        self.optimizer.zero_grad()
        loss.backward()
        trained = (p for group in self.optimizer.param_groups for p in group["params"])
        nn.utils.clip_grad_norm_(trained, 1.0)
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def val_loss(self) -> float:
        return _loss_on(self.kept, self.val, self.texts)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.kept.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any], checkpoint: Path) -> None:
        self.kept.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def _groups(model: VideoModel, config: TrainConfig) -> list[dict[str, Any]]:
    """W without decay, which would pull it from the identity to zero."""
    rate = config.lr / (model.encoder.logit_scale * model.encoder.dim)
    temporal = list(model.temporal.parameters())
    matrices = [p for p in temporal if p.ndim > 1]
    others = [p for p in temporal if p.ndim <= 1]
    groups = [
        {"params": [model.classifier.weight], "lr": rate, "weight_decay": 0.0},
        {"params": matrices, "lr": _TEMPORAL_RATE * rate, "weight_decay": WEIGHT_DECAY},
        {"params": others, "lr": _TEMPORAL_RATE * rate, "weight_decay": 0.0},
    ]
    groups += _speech_groups(model, rate)
    return [group for group in groups if group["params"]]


def _speech_groups(model: VideoModel, rate: float) -> list[dict[str, Any]]:
    """What fusion adds; as with W, a step of each moves a logit by about as much."""
    speech = model.speech
    if speech is None:
        return []
    groups: list[dict[str, Any]] = []
    if speech.early:
        groups.append({"params": [speech.modality], "lr": rate})
    if speech.late:
        dim = model.encoder.dim
        groups.append({"params": [speech.similarity], "lr": rate})
        groups.append({"params": [speech.weight], "lr": rate * dim})
        # The similarities of a label vary over time by some 0.05.
        groups.append({"params": [speech.sharpness], "lr": rate * dim / 0.05**2})
    return [{**group, "weight_decay": 0.0} for group in groups]


def warmed_up(optimizer: torch.optim.Optimizer, total: int) -> torch.optim.lr_scheduler.LambdaLR:
    """A linear warm-up, then half a cosine down to zero."""
    warmup = max(1, round(WARMUP * total))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate(step, total, 1.0, warmup)
    )


def losses_of(logits: Tensor, targets: Tensor, multi_label: bool) -> Tensor:
    """The loss of each clip (M,): cross-entropy, or its mean over the labels' yes and no."""
    if multi_label:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    return F.cross_entropy(logits, targets, reduction="none")


@torch.inference_mode()
def _loss_on(model: VideoModel, clips: ClipSet, texts: Tensor) -> float:
    logits = _logits(model, clips, texts, CHECK_FRAMES)
    losses = losses_of(logits.double(), clips.targets.double(), model.multi_label)
    return float(losses @ clips.weights.double() / len(clips))


def _on(model: VideoModel, *tensors: Tensor) -> list[Tensor]:
    return [tensor.to(model.encoder.device) for tensor in tensors]


def _batch(
    clips: ClipSet, rows: Sequence[int], most: int | None, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (B, N, D), times (B, N) and mask (B, N), with at most that many frames a clip.

    A clip with more frames gives one of each of as many equal parts: drawn with a generator, the
    middle one without.
    """
    embeddings, times, lengths = [], [], []
    for row in rows:
        frames, seconds = clips.embeddings[row], clips.times[row]
        if most is not None and len(frames) > most:
            within = torch.full((most,), 0.5)
            if generator is not None:
                within = torch.rand(most, generator=generator)
            kept = ((torch.arange(most) + within) * (len(frames) / most)).long()
            frames, seconds = frames[kept], seconds[kept]
        embeddings.append(frames)
        times.append(seconds)
        lengths.append(len(frames))
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return pad_sequence(embeddings, True), pad_sequence(times, True), mask


def _said(model: VideoModel, clips: ClipSet, rows: Sequence[int]) -> Spoken | None:
    """What is said in clips, as one batch; None where the model fuses nothing."""
    if model.speech is None:
        return None
    return join_spoken([clips.spoken[row] for row in rows]).to(model.encoder.device)


def _logits(model: VideoModel, clips: ClipSet, texts: Tensor, most: int | None) -> Tensor:
    """Logits (M, L) on the CPU; clips of like length share a batch, so little is padded."""
    order = sorted(range(len(clips)), key=lambda row: len(clips.embeddings[row]))
    out = torch.empty(len(clips), len(texts))
    while order:
        # Few long clips at a time, many short ones.
        size = max(1, 8192 // min(len(clips.embeddings[order[-1]]), most or 2**31))
        rows, order = order[-size:], order[:-size]
        embeddings, times, mask = _on(model, *_batch(clips, rows, most))
        said = _said(model, clips, rows)
        out[rows] = model(embeddings, times, texts, mask, said).float().cpu()
    return out


@torch.no_grad()
def _pooled(model: VideoModel, clips: ClipSet) -> ClipSet:
    """Each clip as its one pooled frame, which is all that an untrained Transformer passes on."""
    pooled = [F.normalize(frames.mean(dim=0, keepdim=True), dim=-1) for frames in clips.embeddings]
    times = [torch.zeros(1)] * len(clips)
    return ClipSet(pooled, times, clips.targets, clips.weights, clips.spoken)


@torch.inference_mode()
def score(model: VideoModel, clips: ClipSet, labels: Sequence[str], multi_label: bool) -> Array:
    """What a model says of clips, from all their frames: float64 (M, L) in [0, 1]."""
    texts = label_vectors(model, labels, multi_label)
    logits = _logits(model.eval(), clips, texts, None).double()
    scores = logits.sigmoid() if multi_label else logits.softmax(dim=-1)
    return np.asarray(scores.numpy())


@torch.inference_mode()
def calibrate(model: VideoModel, clips: ClipSet) -> float:
    """Divide the model's logits by the temperature that makes these clips most likely.

    Args:
        model: changed in place.
        clips: M that it was not trained on.

    Returns:
        The temperature; see `likeliest_temperature`.
    """
    texts = label_vectors(model, model.labels, model.multi_label)
    logits = _logits(model.eval(), clips, texts, None).double()
    targets = clips.targets.double()
    temperature = likeliest_temperature(logits, targets, model.multi_label, len(clips))
    model.classifier.logit_scale.div_(temperature)
    if model.classifier.logit_bias is not None:
        model.classifier.logit_bias.div_(temperature)
    return temperature


def likeliest_temperature(
    logits: Tensor, targets: Tensor, multi_label: bool, independent: int
) -> float:
    """The temperature that makes the right labels most likely.

    Guo et al. 2017, section 4.2, with targets that leave room for one more clip that could be
    anything, as Platt (1999, section 2.2) does, since few clips that are all right would ask for
    a temperature of zero.

    Args:
        logits: float64 (M, L).
        targets: float64 (M, L), 1 for right labels.
        multi_label: whether each label is a question of its own.
        independent: how many independent clips the rows come from.
    """
    even = 0.5 if multi_label else 1 / logits.shape[1]
    targets = (targets * independent + even) / (independent + 1)

    def loss(log_temperature: float) -> float:
        return float(losses_of(logits / math.exp(log_temperature), targets, multi_label).mean())

    found = minimize_scalar(loss, bounds=(math.log(0.01), math.log(100)), method="bounded")
    return math.exp(float(found.x))
