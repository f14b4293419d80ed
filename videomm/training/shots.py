"""What the image tower sees of compositions: rendered, or put together from cached shots.

Rendering all compositions of a training would take an hour. Instead each picture is looked at
once, at a few positions along its path, and a frame between two positions is the mean of their
embeddings, weighted by nearness; a frame in a fade is the mean of its two pictures' embeddings,
weighted as their pixels would be. Both are approximations, the second a rough one:
`approximation_cosines` measures them against rendered frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from videomm.encoder import FrameEncoder
from videomm.training.compositions import (
    Composition,
    Looks,
    crop,
    draw_composition,
    look_at,
    render,
)
from videomm.training.image_data import ImageArchive, ImageRow, load_split
from videomm.training.progress import report
from videomm.training.shards import cached_shards
from videomm.types import Array, SamplingPlan, Timeline

POSITIONS = 3  # along a picture's path
CAPTIONS = 2  # of a picture, of the five that most have
SHARD = 256  # pictures a file
BATCH = 8  # frames; on a processor twice as fast as 32


@dataclass(frozen=True, eq=False)
class Shots:
    """Pictures as the towers see them.

    Attributes:
        paths: float32 (N, POSITIONS, D), N pictures from the start of their paths to the end.
        captions: float32 (N, CAPTIONS, D), of each picture.
        digest: of the towers and of what they looked at.
    """

    paths: Tensor
    captions: Tensor
    digest: str


@dataclass(frozen=True, eq=False)
class Watched:
    """A composition that was rendered and embedded frame by frame.

    Attributes:
        composition: its plan.
        timeline: its frames.
        captions: float32 (P, D), the captions that ask for its pictures.
    """

    composition: Composition
    timeline: Timeline
    captions: Array


def embed_shots(
    archive: ImageArchive, rows: Sequence[ImageRow], encoder: FrameEncoder, folder: Path
) -> Shots:
    """Look at pictures along their paths, and read their captions; a picture's number is its row's.

    Shards of 256 pictures are kept on disk in float16, so that a killed run goes on.

    Args:
        archive: holds the pictures.
        rows: which ones; each with captions, which are repeated where it has too few.
        encoder: the towers.
        folder: where the shards go, in a folder named by the digest.
    """
    positions = np.linspace(0, 1, POSITIONS)

    def paths(numbers: range) -> Array:
        looks = []
        for number in numbers:
            image = archive.read(rows[number])
            looks += [crop(image, number, place, encoder.image_size) for place in positions]
        embedded = encoder.encode_frames(np.stack(looks), BATCH)
        return embedded.reshape(len(numbers), POSITIONS, -1)

    def captions(numbers: range) -> Array:
        texts = [_caption(rows[number], place) for number in numbers for place in range(CAPTIONS)]
        return encoder.encode_text(texts).reshape(len(numbers), CAPTIONS, -1)

    digest = _digest(encoder, rows)
    seen, read = (
        cached_shards(stage, len(rows), SHARD, folder / digest / stage / "{:06d}.npy", make)
        for stage, make in (("paths", paths), ("captions", captions))
    )
    return Shots(_unit(seen), _unit(read), digest)


def _unit(vectors: npt.NDArray[np.float16]) -> Tensor:
    return F.normalize(torch.from_numpy(vectors).float(), dim=-1)


def _caption(row: ImageRow, place: int) -> str:
    return row.captions[place % len(row.captions)]


def _digest(encoder: FrameEncoder, rows: Sequence[ImageRow]) -> str:
    """An encoder's own id knows no text tower, so that is asked for a text."""
    digest = hashlib.blake2b(encoder.id.encode(), digest_size=8)
    digest.update(encoder.encode_text(["a photo of a dog"]).tobytes())
    for row in rows:
        digest.update(f"{row.set_name}/{row.file}/{row.captions}\n".encode())
    return digest.hexdigest()


def assemble(paths: Tensor, composition: Composition, looks: Looks) -> Tensor:
    """The frames of a composition, about as the image tower would see them: float32 (N, D)."""
    last = paths.shape[1] - 1
    pictures = np.array([scene.picture for scene in composition.scenes])[looks.scenes]
    before = np.minimum((looks.positions * last).astype(int), last - 1)
    after_share = looks.positions * last - before
    scene_share = np.stack([1 - looks.mixed, looks.mixed], axis=1)
    shares = scene_share[..., None] * np.stack([1 - after_share, after_share], axis=-1)
    rows = torch.from_numpy(pictures[..., None] * (last + 1) + before[..., None] + np.arange(2))
    weights = torch.from_numpy(shares).float()
    return F.normalize((paths.flatten(0, 1)[rows] * weights[..., None]).sum((1, 2)), dim=-1)


@dataclass(frozen=True, eq=False)
class Batch:
    """B compositions with P pictures in all.

    Attributes:
        embeddings: float32 (B, N, D).
        times: float64 (B, N), seconds.
        mask: bool (B, N), True for frames.
        shown: bool (M, P), which pictures the M frames that are not padding show; a frame in a
            fade shows what it shows more of.
        captions: float32 (P, D), one of each picture.
        dominant: int64 (B,), among the pictures.
    """

    embeddings: Tensor
    times: Tensor
    mask: Tensor
    shown: Tensor
    captions: Tensor
    dominant: Tensor


def draw_batch(shots: Shots, seed: int, numbers: range) -> Batch:
    """The compositions of these numbers; see `draw_composition`."""
    embeddings: list[Tensor] = []
    times: list[Tensor] = []
    captions: list[Tensor] = []
    shown: list[Tensor] = []
    dominant: list[int] = []
    for number in numbers:
        composition = draw_composition([CAPTIONS] * len(shots.paths), seed, number)
        looks, pictures = look_at(composition), composition.pictures
        embeddings.append(assemble(shots.paths, composition, looks))
        times.append(torch.from_numpy(looks.times))
        dominant.append(sum(len(part) for part in captions) + pictures.index(composition.dominant))
        captions.append(shots.captions[list(pictures), list(composition.captions)])
        at = [pictures.index(composition.scenes[scene].picture) for scene in looks.scenes[:, 0]]
        shown.append(F.one_hot(torch.tensor(at), len(pictures)).bool())
    return Batch(
        embeddings=pad_sequence(embeddings, batch_first=True),
        times=pad_sequence(times, batch_first=True),
        mask=pad_sequence([torch.ones(len(x), dtype=torch.bool) for x in times], batch_first=True),
        shown=torch.block_diag(*shown).bool(),
        captions=torch.cat(captions),
        dominant=torch.tensor(dominant),
    )


def watch(
    composition: Composition,
    archive: ImageArchive,
    rows: Sequence[ImageRow],
    encoder: FrameEncoder,
) -> Watched:
    """Render a composition and embed every frame."""
    pixels = render(composition, lambda picture: archive.read(rows[picture]), encoder.image_size)
    times = look_at(composition).times
    timeline = Timeline(
        embeddings=encoder.encode_frames(pixels, BATCH),
        times=times,
        duration=composition.duration,
        encoder=encoder.id,
        path="<composition>",
        decoder="none",
        decoder_reason="frames were rendered from pictures",
        plan=SamplingPlan("times", tuple(times)).to_dict(),
    )
    asked = zip(composition.pictures, composition.captions, strict=True)
    texts = [_caption(rows[picture], place) for picture, place in asked]
    return Watched(composition, timeline, encoder.encode_text(texts))


def approximation_cosines(
    watched: Sequence[Watched],
    archive: ImageArchive,
    rows: Sequence[ImageRow],
    encoder: FrameEncoder,
) -> dict[str, float]:
    """Mean cosine of assembled frames with rendered ones: outside fades, and in them.

    Raises:
        ValueError: no frame is in a fade, or none is outside.
    """
    positions = np.linspace(0, 1, POSITIONS)
    cosines: dict[str, list[Tensor]] = {"outside": [], "fades": []}
    for item in watched:
        composition, looks = item.composition, look_at(item.composition)
        paths = torch.zeros(len(rows), POSITIONS, encoder.dim)
        for picture in composition.pictures:
            image = archive.read(rows[picture])
            seen = [crop(image, picture, place, encoder.image_size) for place in positions]
            paths[picture] = torch.from_numpy(encoder.encode_frames(np.stack(seen), BATCH))
        rendered = torch.from_numpy(np.array(item.timeline.embeddings))
        alike = (assemble(paths, composition, looks) * rendered).sum(-1)
        faded = torch.from_numpy(looks.mixed > 0)
        cosines["fades"].append(alike[faded])
        cosines["outside"].append(alike[~faded])
    joined = {name: torch.cat(parts) for name, parts in cosines.items()}
    if not all(len(part) for part in joined.values()):
        raise ValueError("the compositions must have frames in fades and outside of them")
    return {name: round(float(part.mean()), 3) for name, part in joined.items()}


def watch_split(
    data: Path, split: str, encoder: FrameEncoder, count: int, compared: int = 0
) -> list[Watched]:
    """Compositions of a split's captioned pictures, rendered: always the same ones.

    Args:
        data: the data folder.
        split: `val` or `test`.
        encoder: the towers.
        count: how many.
        compared: of how many to report how near their approximation comes.
    """
    archive = ImageArchive(data)
    rows = [row for row in load_split(data, split) if row.captions]
    captions = [len(row.captions) for row in rows]
    watched = [
        watch(draw_composition(captions, 0, number), archive, rows, encoder)
        for number in range(count)
    ]
    if compared:
        cosines = approximation_cosines(watched[:compared], archive, rows, encoder)
        report("approximation", cosines=cosines, compositions=compared)
    return watched
