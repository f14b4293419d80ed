"""Which labels a video has, and where each holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from videomm.config import ClassifyConfig, check_labels
from videomm.encoder import LABEL_TEMPLATES, FrameEncoder
from videomm.errors import InvalidInputError
from videomm.models.frame_labels import BACKGROUND
from videomm.models.video_model import VideoModel
from videomm.types import Array, Classification, Label, Segment, Timeline

# What a label is measured against when it stands alone.
_NEUTRAL = "something"
_PRESENT = 0.5
# In nats. Twice the penalty exceeds what one frame can gain: log(1 / floor).
_CHANGE_PENALTY = 2.0
_FLOOR = 0.02
# How many times wider or closer than in training frames may lie before it is said.
_OTHER_SPACING = 1.5


def classify_timeline(
    timeline: Timeline,
    labels: Sequence[str] | None,
    model: VideoModel,
    config: ClassifyConfig | None = None,
) -> Classification:
    """Score labels for a video, and find where in time each holds.

    The video's scores come from its pooled context, the segments from the context of each frame;
    with late fusion both from the frames' scores, mixed with those of what is said then.
    A model that was trained on labels of frames gives each frame its best one; the video's scores
    are then their shares of its time, and time of `BACKGROUND` is in no segment.

    Args:
        timeline: made by the model's encoder.
        labels: names or phrases in plain words; None takes those that the model was trained on,
            scored as it was trained to.
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
    if model.frame_labels is not None:
        return _classify_frames(timeline, labels, model, config)
    config, names, notes = _choose_labels(labels, model, config)
    video_scores, frame_scores = _scores(timeline, names, model, config.multi_label)
    order = np.argsort(-video_scores, kind="stable")[: config.top]
    if config.multi_label:
        kept = [names[i] for i in order]
        threshold = _PRESENT if config.unknown is None else config.unknown
        segments = _label_segments(timeline.bounds, frame_scores[:, order], kept, threshold)
    else:
        path = _held(frame_scores, _steady(frame_scores), config.unknown)
        segments = _path_segments(timeline.bounds, frame_scores, path, names)
    best = [Label(names[i], float(video_scores[i])) for i in order]
    unknown = config.unknown is not None and best[0].score < config.unknown
    return _result(timeline, model, notes, best, segments, unknown)


def _classify_frames(
    timeline: Timeline, labels: Sequence[str] | None, model: VideoModel, config: ClassifyConfig
) -> Classification:
    """What a model that was trained on labels of frames says."""
    if labels is not None or config.multi_label:
        raise InvalidInputError(
            f"{model.name} was trained to give each frame one of its own labels; leave labels and "
            "multi_label out, or take another model"
        )
    scores = model.label_frames(timeline)
    path = _held(scores, scores.argmax(axis=1), config.unknown)
    shares = _shares_of_time(timeline.bounds, path, len(model.labels))
    order = np.argsort(-shares, kind="stable")[: config.top]
    segments = _path_segments(timeline.bounds, scores, path, model.labels)
    return _result(
        timeline,
        model,
        _unlike_training(timeline, model),
        [Label(model.labels[i], float(shares[i])) for i in order],
        tuple(item for item in segments if item.label != BACKGROUND),
        unknown=bool((path < 0).all()),
    )


def _result(
    timeline: Timeline,
    model: VideoModel,
    notes: tuple[str, ...],
    labels: list[Label],
    segments: tuple[Segment, ...],
    unknown: bool,
) -> Classification:
    return Classification(
        path=timeline.path,
        model=model.name,
        decoder=timeline.decoder,
        complete=timeline.complete,
        warnings=(*timeline.warnings, *notes),
        labels=tuple(labels),
        segments=segments,
        unknown=unknown,
        sampling=timeline.plan,
        duration=timeline.duration,
    )


def _choose_labels(
    labels: Sequence[str] | None, model: VideoModel, config: ClassifyConfig
) -> tuple[ClassifyConfig, list[str], tuple[str, ...]]:
    """Config and labels to score, and what to say of labels that the model was not trained on."""
    if labels is None:
        if not model.labels:
            raise InvalidInputError(
                f"{model.name} was not trained on labels of its own; give labels, or a model "
                "folder of videomm train"
            )
        if config.multi_label and not model.multi_label:
            raise InvalidInputError(
                f"{model.name} was trained to choose one of its labels; leave multi_label out, or "
                "train it on data with several labels a clip"
            )
        return replace(config, multi_label=model.multi_label), list(model.labels), ()
    names = check_labels(labels, config.multi_label)
    if not model.labels:
        return config, names, ()
    notes = []
    if config.multi_label != model.multi_label:
        way = "on its own" if model.multi_label else "against the others"
        notes.append(f"{model.name} was trained to score each label {way}; scores may mean little")
    if other := [name for name in names if name not in model.labels]:
        which = f"label {other[0]!r}; it" if len(other) == 1 else f"labels {other}; they"
        notes.append(f"{model.name} was not trained on the {which} may mean little")
    return config, names, tuple(notes)


def follow_labels(
    timeline: Timeline, names: Sequence[str], model: VideoModel
) -> tuple[Array, Array]:
    """Which label each frame has as segments say it, and how the labels score there.

    `BACKGROUND` is scored as the neutral text, being the name of nothing that is to be seen.

    Args:
        timeline: made by the model's encoder.
        names: L labels, of which one holds at a time.
        model: not trained on labels of frames.

    Returns:
        int64 (N,) and float64 (N, L).
    """
    texts = [_NEUTRAL if name == BACKGROUND else name for name in names]
    scores = _scores(timeline, texts, model, multi_label=False)[1]
    return _steady(scores), scores


def embed_labels(encoder: FrameEncoder, names: Sequence[str], multi_label: bool) -> Array:
    """Labels as vectors whose product with an image is their logit, but for scale and bias.

    With a trained bias a label's own product is meaningful on its own; without one it is
    measured against a neutral text, whose vector is taken off.

    Args:
        encoder: its text tower reads them; underscores are read as blanks.
        names: L labels.
        multi_label: whether each is to be scored on its own.

    Returns:
        float32 (L, D).
    """
    rival = multi_label and encoder.logit_bias is None
    texts = [name.replace("_", " ") for name in names]
    vectors = encoder.encode_text([*texts, _NEUTRAL] if rival else texts, LABEL_TEMPLATES)
    return vectors[:-1] - vectors[-1:] if rival else vectors


@torch.inference_mode()
def _scores(
    timeline: Timeline, names: list[str], model: VideoModel, multi_label: bool
) -> tuple[Array, Array]:
    """Scores of the video (L,) and of its frames (N, L), in [0, 1]."""
    context = model.attend(timeline)
    texts = embed_labels(model.encoder, names, multi_label)
    times, tensors = (
        torch.from_numpy(np.array(part)).to(model.encoder.device)
        for part in (timeline.times, texts)
    )
    video, frames = model.judge(context, times[None], tensors, model.spoken(timeline))
    logits = torch.cat((video, frames[0])).double()
    scores = logits.sigmoid() if multi_label else logits.softmax(dim=-1)
    values = scores.cpu().numpy()
    return values[0], values[1:]


def _shares_of_time(bounds: Array, path: Array, count: int) -> Array:
    """Share of a video's time that each of `count` labels holds, -1 being none: float64 (L,)."""
    seconds = np.maximum(np.diff(bounds), 1e-9)  # where a video is one moment
    held = path >= 0
    return np.asarray(np.bincount(path[held], seconds[held], minlength=count) / seconds.sum())


def _unlike_training(timeline: Timeline, model: VideoModel) -> tuple[str, ...]:
    """What to say where frames lie much closer or wider than those that a model learned from."""
    assert model.frame_labels is not None
    trained = float(model.frame_labels.spacing)
    if len(timeline) < 2 or not trained:
        return ()
    here = float(np.median(np.diff(timeline.times)))
    if max(here, trained) <= _OTHER_SPACING * min(here, trained):
        return ()
    return (
        f"looked at every {here:.2f} s, where {model.name} was trained on a frame every "
        f"{trained:.2f} s: its labels may be worse; --fps and --max-frames change that",
    )


def _steady(scores: Array) -> Array:
    """The sequence of columns that scores best when each change costs something.

    Viterbi's algorithm with a Potts prior: maximises the sum of log scores less a penalty a
    change. Unlike an average over time it never moves a cut. Scores are floored, so one odd frame
    between others can gain less than the two changes it would take.

    Args:
        scores: (N, L) in [0, 1].

    Returns:
        Column indices (N,).
    """
    logs = np.log(np.maximum(scores, _FLOOR))
    came_from = np.zeros(logs.shape, np.int64)
    total = logs[0]
    own = np.arange(logs.shape[1])
    for i in range(1, len(logs)):
        best = int(total.argmax())
        changed = total[best] - _CHANGE_PENALTY > total
        came_from[i] = np.where(changed, best, own)
        total = logs[i] + np.maximum(total, total[best] - _CHANGE_PENALTY)
    path = np.zeros(len(logs), np.int64)
    path[-1] = total.argmax()
    for i in range(len(logs) - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def runs_of(values: Array) -> list[tuple[int, int]]:
    """[first, last) of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))


def _held(scores: Array, path: Array, threshold: float | None) -> Array:
    """The path with -1 where its label scores less than the threshold."""
    return np.where(scores[np.arange(len(path)), path] >= (threshold or 0.0), path, -1)


def _path_segments(
    bounds: Array, scores: Array, path: Array, names: Sequence[str]
) -> tuple[Segment, ...]:
    out = []
    for first, last in runs_of(path):
        label = int(path[first])
        if label >= 0:
            score = float(scores[first:last, label].mean())
            out.append(Segment(float(bounds[first]), float(bounds[last]), score, names[label]))
    return tuple(out)


def _label_segments(
    bounds: Array, scores: Array, names: list[str], threshold: float
) -> tuple[Segment, ...]:
    out = []
    for label, name in enumerate(names):
        # Odds of 1 at the threshold, so that present and absent are equally good there.
        odds = scores[:, label] * (1 - threshold), (1 - scores[:, label]) * threshold
        present = _steady(np.stack(odds[::-1], axis=1) / np.maximum(sum(odds), 1e-12)[:, None]) == 1
        for first, last in runs_of(present):
            if present[first]:
                score = float(scores[first:last, label].mean())
                out.append(Segment(float(bounds[first]), float(bounds[last]), score, name))
    return tuple(sorted(out, key=lambda item: (item.start, -item.score)))
