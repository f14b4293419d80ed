"""Compositions as a toy encoder sees them: cached shots, and frames put together from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from videomm.training import shots as module
from videomm.training.compositions import (
    Composition,
    Scene,
    crop,
    draw_composition,
    look_at,
    render,
)
from videomm.training.image_data import ImageRow
from videomm.training.shots import (
    CAPTIONS,
    POSITIONS,
    Shots,
    Watched,
    approximation_cosines,
    assemble,
    draw_batch,
    embed_shots,
    watch,
)


class MeanColours:
    """Frames to the mean colours of 4 x 4 tiles, texts to what their letters are."""

    id, dim, image_size = "colours@0", 48, (32, 32)

    def __init__(self) -> None:
        self.seen = 0

    def encode_frames(self, pixels, batch_size=32):
        self.seen += len(pixels)
        tiles = np.asarray(pixels, np.float32).reshape(len(pixels), 4, 8, 4, 8, 3).mean((2, 4))
        return unit(tiles.reshape(len(pixels), -1) - 100)

    def encode_text(self, texts, templates=("{}",)):
        rng = [np.random.default_rng(list(text.encode())) for text in texts]
        return unit(np.stack([generator.normal(size=self.dim) for generator in rng]))


class Archive:
    """Smooth pictures of their own, so that looks near to each other are alike."""

    def read(self, row: ImageRow) -> Image.Image:
        pixels = np.random.default_rng(int(row.file)).integers(0, 256, (4, 5, 3)).astype(np.uint8)
        return Image.fromarray(pixels).resize((80, 64), Image.Resampling.BICUBIC)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


ROWS = [
    ImageRow("toy", str(i), "train", tuple(f"{i}{c}" for c in "ab"[: 1 + i % 2])) for i in range(9)
]
ARCHIVE = Archive()


def make(folder: Path, encoder: MeanColours | None = None, rows: list[ImageRow] = ROWS) -> Shots:
    return embed_shots(ARCHIVE, rows, encoder or MeanColours(), folder)  # type: ignore[arg-type]


def test_pictures_are_seen_along_their_paths(tmp_path: Path) -> None:
    shots = make(tmp_path)
    assert shots.paths.shape == (9, POSITIONS, 48)
    assert shots.captions.shape == (9, CAPTIONS, 48)
    looks = [crop(ARCHIVE.read(ROWS[5]), 5, place, (32, 32)) for place in (0, 0.5, 1)]
    expected = torch.from_numpy(MeanColours().encode_frames(np.stack(looks)))
    assert (shots.paths[5] - expected).abs().max() < 1e-3
    assert (shots.paths.norm(dim=-1) - 1).abs().max() < 1e-6
    # The only caption of an even picture stands for two.
    assert torch.equal(shots.captions[4, 0], shots.captions[4, 1])
    text = torch.from_numpy(MeanColours().encode_text(["5b"])[0])
    assert (shots.captions[5, 1] - text).abs().max() < 1e-3


def test_a_killed_run_goes_on_and_other_towers_or_rows_start_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 4)
    whole = make(tmp_path)
    (tmp_path / whole.digest / "paths" / "000004.npy").unlink()
    encoder = MeanColours()
    again = make(tmp_path, encoder)
    assert encoder.seen == 4 * POSITIONS
    assert torch.equal(again.paths, whole.paths)
    assert torch.equal(again.captions, whole.captions)
    assert make(tmp_path, rows=ROWS[:-1]).digest != whole.digest
    other = MeanColours()
    other.encode_text = lambda texts, templates=(): -MeanColours().encode_text(texts)  # type: ignore[method-assign]
    assert make(tmp_path, other).digest != whole.digest


def test_frames_are_means_of_the_nearest_looks() -> None:
    paths = torch.nn.functional.normalize(torch.randn(2, 3, 8), dim=-1)
    plan = Composition((Scene(0, 0, 2, 0, 1), Scene(1, 2, 4, 0.25, 0.25, 1.0)), (0, 0))
    looks = look_at(plan, fps=4)
    frames = assemble(paths, plan, looks)
    assert frames.shape == (16, 8)

    def expect(frame: int, mean: torch.Tensor) -> None:
        assert torch.allclose(frames[frame], torch.nn.functional.normalize(mean, dim=0), atol=1e-6)

    expect(0, paths[0, 0])
    expect(4, paths[0, 1])
    expect(5, 0.75 * paths[0, 1] + 0.25 * paths[0, 2])
    held = 0.5 * paths[1, 0] + 0.5 * paths[1, 1]
    expect(15, held)
    expect(7, 0.75 * (0.25 * paths[0, 1] + 0.75 * paths[0, 2]) + 0.25 * held)
    expect(8, 0.5 * held + 0.5 * paths[0, 2])


def watched(number: int) -> Watched:
    plan = draw_composition([len(row.captions) for row in ROWS], 0, number)
    return watch(plan, ARCHIVE, ROWS, MeanColours())  # type: ignore[arg-type]


def test_watched_is_rendered_and_embedded() -> None:
    item = watched(2)
    looks = look_at(item.composition)
    assert item.timeline.times.tolist() == looks.times.tolist()
    assert item.timeline.duration == item.composition.duration
    pixels = render(item.composition, lambda n: ARCHIVE.read(ROWS[n]), (32, 32))
    assert (item.timeline.embeddings == MeanColours().encode_frames(pixels)).all()
    place = item.composition.captions[1]
    text = ROWS[item.composition.pictures[1]].captions[place]
    assert (item.captions[1] == MeanColours().encode_text([text])[0]).all()


def test_approximation_is_measured_against_rendered_frames() -> None:
    items = [watched(number) for number in range(4)]
    cosines = approximation_cosines(items, ARCHIVE, ROWS, MeanColours())  # type: ignore[arg-type]
    # A linear encoder of smooth pictures: means are nearly right, and no worse in fades.
    assert min(cosines.values()) > 0.95
    json.dumps(cosines)
    still = Composition((Scene(0, 0, 2, 0, 0), Scene(1, 2, 5, 1, 1)), (0, 0))
    item = watch(still, ARCHIVE, ROWS, MeanColours())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must have frames in fades and outside of them"):
        approximation_cosines([item], ARCHIVE, ROWS, MeanColours())  # type: ignore[arg-type]


def test_a_batch_holds_its_plans(tmp_path: Path) -> None:
    shots = make(tmp_path)
    batch = draw_batch(shots, 7, range(10, 14))
    plans = [draw_composition([CAPTIONS] * 9, 7, number) for number in range(10, 14)]
    pictures = [(b, picture) for b, plan in enumerate(plans) for picture in plan.pictures]
    assert batch.mask.sum(1).tolist() == [len(look_at(plan).times) for plan in plans]
    assert batch.embeddings.shape == (*batch.mask.shape, 48)
    assert len(batch.captions) == batch.shown.shape[1] == len(pictures)
    assert batch.shown.dtype == torch.bool
    assert (batch.shown.sum(1) == 1).all()
    row = 0
    for b, plan in enumerate(plans):
        assert pictures[batch.dominant[b]] == (b, plan.dominant)
        looks = look_at(plan)
        expected = assemble(shots.paths, plan, looks)
        assert torch.equal(batch.embeddings[b, : len(expected)], expected)
        assert not batch.embeddings[b, len(expected) :].any()
        for scene in looks.scenes[:, 0]:
            shown = pictures[int(batch.shown[row].float().argmax())]
            assert shown == (b, plan.scenes[scene].picture)
            row += 1
    first = shots.captions[plans[0].pictures[1], plans[0].captions[1]]
    assert torch.equal(batch.captions[1], first)
