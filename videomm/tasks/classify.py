"""Which labels a video has, and where each holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from videomm.config import Config
from videomm.encoder import DEFAULT_TEMPLATES
from videomm.errors import InvalidInputError
from videomm.models.video_model import VideoModel
from videomm.types import Array, Classification, Label, Segment, Timeline

# What a label is measured against when it stands alone.
_NEUTRAL = "something"
_PRESENT = 0.5


@dataclass(frozen=True)
class ClassifyConfig(Config):
    """How labels are scored.

    Attributes:
        multi_label: score each label on its own, instead of a softmax over all of them.
        unknown: below this score a video has no label; None always gives one.
        top: keep this many labels, best first; None keeps all.
    """

    multi_label: bool = False
    unknown: float | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        if self.unknown is not None and not 0 <= self.unknown <= 1:
            raise InvalidInputError(f"unknown must be between 0 and 1, got {self.unknown}")
        if self.top is not None and self.top < 1:
            raise InvalidInputError(f"top must be at least 1, got {self.top}")


def classify_timeline(
    timeline: Timeline,
    labels: Sequence[str],
    model: VideoModel,
    config: ClassifyConfig | None = None,
) -> Classification:
    """Score labels for a video, and find where in time each holds.

    The video's scores come from its pooled context, the segments from the context of each frame.

    Args:
        timeline: made by the model's encoder.
        labels: names or phrases in plain words.
        model: scores them.
        config: softmax over the labels unless told otherwise.

    Returns:
        Labels best first. With a softmax the segments tile the video, less the stretches whose
        best label is under `unknown`; with `multi_label` each label has the stretches where it
        scores at least 0.5, or `unknown` where that is given.

    Raises:
        InvalidInputError: no labels, a repeated or empty one, or a single one for a softmax.
    """
    config = config or ClassifyConfig()
    names = check_labels(labels, config.multi_label)
    video_scores, frame_scores = _scores(timeline, names, model, config.multi_label)
    order = np.argsort(-video_scores, kind="stable")[: config.top]
    kept = [names[i] for i in order]
    if config.multi_label:
        threshold = _PRESENT if config.unknown is None else config.unknown
        segments = _label_segments(timeline.bounds, frame_scores[:, order], kept, threshold)
    else:
        segments = _best_segments(timeline.bounds, frame_scores, names, config.unknown or 0.0)
    return Classification(
        path=timeline.path,
        model=model.name,
        decoder=timeline.decoder,
        complete=timeline.complete,
        warnings=timeline.warnings,
        labels=tuple(Label(names[i], float(video_scores[i])) for i in order),
        segments=segments,
        unknown=config.unknown is not None and float(video_scores.max()) < config.unknown,
        sampling=timeline.plan,
        duration=timeline.duration,
    )


def check_labels(labels: Sequence[str], multi_label: bool = False) -> list[str]:
    """Labels without outer blanks, or an error that says what is wrong with them."""
    if isinstance(labels, str):
        raise InvalidInputError(f"labels must be a list of texts, got the one text {labels!r:.60}")
    names = [label.strip() for label in labels]
    if not names or not all(names):
        raise InvalidInputError(f"labels must be one or more non-empty texts, got {list(labels)!r}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidInputError(f"label {repeated[0]!r} is given more than once")
    if len(names) == 1 and not multi_label:
        raise InvalidInputError(
            f"one label alone ({names[0]!r}) would always score 1; give at least two, or score "
            "it on its own with --multi-label"
        )
    return names


@torch.inference_mode()
def _scores(
    timeline: Timeline, names: list[str], model: VideoModel, multi_label: bool
) -> tuple[Array, Array]:
    """Scores of the video (L,) and of its frames (N, L), in [0, 1]."""
    context = model.attend(timeline)
    # With a trained bias a label's own logit is meaningful; without, it needs a neutral rival.
    rival = multi_label and model.encoder.logit_bias is None
    texts = model.encoder.encode_text([*names, _NEUTRAL] if rival else names, DEFAULT_TEMPLATES)
    tensors = torch.from_numpy(texts).to(model.encoder.device)
    images = torch.cat((context.pooled, context.frames[0]))
    logits = model.classifier(images, tensors).double()
    if rival:
        logits = logits[:, :-1] - logits[:, -1:]
    scores = logits.sigmoid() if multi_label else logits.softmax(dim=-1)
    values = scores.cpu().numpy()
    return values[0], _smooth(values[1:])


def _smooth(scores: Array) -> Array:
    """Mean over each frame and its two neighbours, so that one odd frame makes no segment."""
    padded = np.concatenate((scores[:1], scores, scores[-1:]))
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) / 3)


def _runs(values: Array) -> list[tuple[int, int]]:
    """[first, last) of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))


def _best_segments(
    bounds: Array, scores: Array, names: list[str], threshold: float
) -> tuple[Segment, ...]:
    best = np.where(scores.max(axis=1) >= threshold, scores.argmax(axis=1), -1)
    out = []
    for first, last in _runs(best):
        label = int(best[first])
        if label >= 0:
            score = float(scores[first:last, label].mean())
            out.append(Segment(float(bounds[first]), float(bounds[last]), score, names[label]))
    return tuple(out)


def _label_segments(
    bounds: Array, scores: Array, names: list[str], threshold: float
) -> tuple[Segment, ...]:
    out = []
    for label, name in enumerate(names):
        present = scores[:, label] >= threshold
        for first, last in _runs(present):
            if present[first]:
                score = float(scores[first:last, label].mean())
                out.append(Segment(float(bounds[first]), float(bounds[last]), score, name))
    return tuple(sorted(out, key=lambda item: (item.start, -item.score)))
