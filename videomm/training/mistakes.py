"""The answers of a model that are furthest from right, with the frame that speaks most for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline
from videomm.render.training_report import Mistake
from videomm.training.clips import Clip, embed_part
from videomm.training.finetune import gather, label_vectors, score

MOST = 12


def worst_mistakes(
    model: VideoModel, pipeline: VideoPipeline, clips: Sequence[Clip], most: int = MOST
) -> list[Mistake]:
    """Wrong answers, the surest first.

    For single labels a clip whose best label is wrong; for several labels a clip and a label that
    it was wrongly given (at 0.5 or above) or denied.

    Args:
        model: trained on labels.
        pipeline: has the clips' pictures.
        clips: to look at.
        most: no more than this.
    """
    scores = score(model, gather(clips, model.labels), model.labels, model.multi_label)
    found: list[tuple[float, int, int]] = []
    for row, clip in enumerate(clips):
        right = np.array([name in clip.example.labels for name in model.labels])
        if model.multi_label:
            wrong = np.flatnonzero((scores[row] >= 0.5) != right)
            gaps = np.abs(scores[row] - right)
            found += [(float(gaps[label]), row, int(label)) for label in wrong]
        elif not right[best := int(scores[row].argmax())]:
            found.append((float(scores[row, best]), row, best))
    found.sort(key=lambda item: (-item[0], *item[1:]))
    return [
        _mistake(model, pipeline, clips[row], label, float(scores[row, label]))
        for _, row, label in found[:most]
    ]


@torch.inference_mode()
def _mistake(
    model: VideoModel, pipeline: VideoPipeline, clip: Clip, label: int, value: float
) -> Mistake:
    """The answer with its frame: where the label scores most, or least where it was denied."""
    frames = model.attend(clip.timeline).frames[0]
    vectors = label_vectors(model, model.labels, model.multi_label)
    logits = model.classifier(frames, vectors)
    if not model.multi_label:
        logits = logits.log_softmax(dim=-1)
    column = logits[:, label]
    denied = model.labels[label] in clip.example.labels
    place = int(column.argmin() if denied else column.argmax())
    thumbnails = embed_part(pipeline, clip.example).thumbnails
    return Mistake(
        clip=clip.example.part,
        labels=clip.example.labels,
        said=model.labels[label],
        score=value,
        time=float(clip.timeline.times[place]),
        picture=thumbnails[place] if thumbnails else b"",
    )
