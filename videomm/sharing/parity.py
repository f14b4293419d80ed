"""Whether an ONNX file computes what the model computes, on random and on real inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from videomm.models.video_model import VideoModel
from videomm.sharing.graphs import CLASSIFIER, IMAGE, TEXT
from videomm.tasks.classify import embed_labels
from videomm.types import Array
from videomm.video.reader import open_video

CLIP = Path(__file__).parent.parent / "assets" / "demo.mp4"
TOLERANCE = 1e-4  # of a coordinate of a unit vector, and of a score
REAL_SECONDS = (0.5, 4.0, 7.5, 10.0, 17.0)
TEXTS = ("a cat", "two dogs run along a wide beach at sunset", "x", "a man reads " * 40)
LENGTHS = (1, 7, 40)  # frames of random videos; some share a batch with longer ones

Inputs = tuple[Tensor, ...]


def sample_inputs(model: VideoModel) -> dict[str, list[Inputs]]:
    """Batches to compare on, by the file's name; in the first no axis has length 1.

    Args:
        model: on the CPU.

    Returns:
        Of each file batches of its inputs, as `onnx_export` names them.
    """
    dice = np.random.default_rng(0)
    encoder = model.encoder
    with open_video(CLIP) as reader:
        real = encoder.preprocess(reader.get_frames_at(REAL_SECONDS).pixels)
    noise = dice.integers(0, 256, (3, *encoder.image_size, 3), dtype=np.uint8)
    images = encoder.preprocess(noise)
    batches: dict[str, list[Inputs]] = {IMAGE: [(images[:2],), (images[2:],), (real,)]}
    if model.labels:
        videos = [_video(length, encoder.dim, dice) for length in LENGTHS]
        videos.append((_embed(model, real), torch.tensor(REAL_SECONDS, dtype=torch.float64)))
        groups = (videos[1:3], videos[:1], videos[3:], videos)
        batches[CLASSIFIER] = [_padded(group, dice) for group in groups]
    else:
        ids = encoder.tokenize(TEXTS)
        batches[TEXT] = [(ids[:2],), (ids[:1],), (ids,)]
    return batches


def greatest_difference(session: Any, model: VideoModel, name: str, batches: list[Inputs]) -> float:
    """The greatest difference of any number between onnxruntime and torch.

    The model computes each video alone and without padding, so padding that leaks is found.

    Args:
        session: `onnxruntime.InferenceSession` of the file.
        model: on the CPU.
        name: of the file.
        batches: of `sample_inputs`.

    Returns:
        Not a number where any is none.
    """
    given = [item.name for item in session.get_inputs()]
    differences = []
    for batch in batches:
        feeds = {key: value.numpy() for key, value in zip(given, batch, strict=True)}
        found = session.run(None, feeds)
        for ours, theirs in _pairs(model, name, batch, found):
            differences.append(
                np.abs(ours - theirs).max() if ours.shape == theirs.shape else np.nan
            )
    return float(np.max(differences))


@torch.inference_mode()
def _pairs(
    model: VideoModel, name: str, batch: Inputs, found: list[Array]
) -> list[tuple[Array, Array]]:
    """What torch gives, beside what onnxruntime gave."""
    if name == IMAGE:
        return [(_embed(model, *batch).numpy(), found[0])]
    if name == TEXT:
        ours = model.encoder.towers.encode_text(*batch)  # type: ignore[operator]
        return [(F.normalize(ours, dim=-1).numpy(), found[0])]
    texts = torch.from_numpy(np.array(embed_labels(model.encoder, model.labels, model.multi_label)))
    pairs = []
    for row, (embeddings, times, mask) in enumerate(zip(*batch, strict=True)):
        context = model.temporal(embeddings[None, mask], times[None, mask])
        for images, theirs in (
            (context.pooled[0], found[0][row]),
            (context.frames[0], found[1][row][mask.numpy()]),
        ):
            logits = model.classifier(images, texts)
            scores = logits.sigmoid() if model.multi_label else logits.softmax(dim=-1)
            pairs.append((scores.numpy(), theirs))
    return pairs


@torch.inference_mode()
def _embed(model: VideoModel, images: Tensor) -> Tensor:
    return F.normalize(model.encoder.towers.encode_image(images), dim=-1)  # type: ignore[operator]


def _video(length: int, dim: int, dice: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random unit vectors, at random times of some hours."""
    embeddings = F.normalize(torch.from_numpy(dice.normal(size=(length, dim))).float(), dim=-1)
    return embeddings, torch.from_numpy(np.sort(dice.uniform(0, 10_000, length)))


def _padded(videos: list[tuple[Tensor, Tensor]], dice: np.random.Generator) -> Inputs:
    """A batch whose padding is noise, which must not matter."""
    mask = pad_sequence([torch.ones(len(times), dtype=torch.bool) for _, times in videos], True)
    embeddings = pad_sequence([frames for frames, _ in videos], True)
    times = pad_sequence([seconds for _, seconds in videos], True)
    noise = torch.from_numpy(dice.normal(size=embeddings.shape)).float()
    return torch.where(mask[..., None], embeddings, noise), times.where(mask, noise[..., 0]), mask
