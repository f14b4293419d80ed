"""A user's pictures and texts as the contrastive loop reads them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from videomm.errors import InvalidInputError
from videomm.progress import progress_bar
from videomm.training.clips import Skipped
from videomm.training.distill import embed_ids
from videomm.training.pairs import Pairs, ValidationSet
from videomm.training.picture_pairs import (
    MOST_VAL,
    Picture,
    PictureFiles,
    check_pictures,
    split_pictures,
)
from videomm.training.pretrain import PretrainData
from videomm.training.pretrain_config import PretrainRunConfig
from videomm.training.start import Start
from videomm.training.towers import TowerPair
from videomm.training.views import Pictures, RandomCrops, Transform, load_pictures


@dataclass(frozen=True, eq=False)
class Prepared:
    """Pictures that could be read.

    Attributes:
        train: to learn from.
        val: to measure on.
        groups: of the training pictures; copies are of one group.
        skipped: those that could not be read.
        notes: what a reader of the figures should know.
        split: the text of `split.csv`.
    """

    train: list[Picture]
    val: list[Picture]
    groups: Tensor
    skipped: list[Skipped]
    notes: list[str]
    split: str

    @property
    def texts(self) -> list[str]:
        """All distinct texts of both."""
        return list(dict.fromkeys(t for p in self.train + self.val for t in p.texts))


class Features(Dataset[Tensor]):
    """Pooled features of the training pictures, in the place of crops: a frozen trunk's.

    Args:
        features: float32 (N, F).
    """

    def __init__(self, features: Tensor) -> None:
        self._features = features

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, key: tuple[int, int]) -> Tensor:
        return self._features[key[0]]


def prepare(
    pictures: Sequence[Picture],
    notes: Sequence[str],
    config: PretrainRunConfig,
    *,
    progress: bool = False,
) -> Prepared:
    """Look at every picture, and split those that can be read."""
    good, digests, skipped = check_pictures(pictures, progress=progress)
    splits, more = split_pictures(good, digests, config.seed)
    notes = [*notes, *more]
    train = [row for row, split in enumerate(splits) if split == "train"]
    val = [row for row, split in enumerate(splits) if split == "val"]
    if len(val) > MOST_VAL:
        notes.append(f"figures are on the first {MOST_VAL} of {len(val)} validation pictures")
    if left := splits.count("test"):
        notes.append(f"{left} pictures have the split test and were left alone")
    if len(train) < config.train.batch_size:
        notes.append(f"a step has all {len(train)} training pictures: batch_size is more than that")
    number = {digest: place for place, digest in enumerate(dict.fromkeys(digests))}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "split", "content"))
    writer.writerows(zip((p.path for p in good), splits, digests, strict=True))
    return Prepared(
        train=[good[row] for row in train],
        val=[good[row] for row in val[:MOST_VAL]],
        groups=torch.tensor([number[digests[row]] for row in train]),
        skipped=skipped,
        notes=notes,
        split=text.getvalue(),
    )


def build_data(
    start: Start,
    pair: TowerPair,
    prepared: Prepared,
    config: PretrainRunConfig,
    *,
    progress: bool = False,
) -> PretrainData:
    """What the loop reads, for the towers of `start`.

    Raises:
        InvalidInputError: the image tower does not take crops of the size asked for.
    """
    row = {text: place for place, text in enumerate(prepared.texts)}
    ids = start.tokenize(prepared.texts)
    files, cfg = PictureFiles(), start.preprocess
    whole = evaluation_transform(cfg)
    crops: Dataset[Tensor]
    if config.image.frozen:
        pictures = Pictures(files, prepared.train, whole)
        crops = Features(pool_pictures(pair, pictures, progress=progress))
        val_images = pool_pictures(pair, Pictures(files, prepared.val, whole))
    else:
        size = cfg["size"]
        side = config.train.crop_size or (size if isinstance(size, int) else min(size))
        _check_side(pair, side)
        crops = RandomCrops(files, prepared.train, side, cfg["mean"], cfg["std"])
        val_images = load_pictures(Pictures(files, prepared.val, whole))
    validation_rows = [[row[text] for text in p.texts] for p in prepared.val]
    used = torch.tensor(sorted({place for rows in validation_rows for place in rows}))
    right = torch.stack([torch.isin(used, torch.tensor(rows)) for rows in validation_rows])
    return PretrainData(
        crops=crops,
        val_images=val_images,
        pairs=Pairs([[row[text] for text in p.texts] for p in prepared.train], prepared.groups),
        ids=ids,
        validation=ValidationSet(torch.arange(len(prepared.val)), used, right),
        states=embed_ids(start.text, ids) if pair.text is None else None,
    )


def evaluation_transform(preprocess: dict[str, Any]) -> Transform:
    """open_clip's own inference transform."""
    return cast(Transform, image_transform_v2(PreprocessCfg(**preprocess), is_train=False))


@torch.no_grad()
def pool_pictures(pair: TowerPair, pictures: Pictures, *, progress: bool = False) -> Tensor:
    """What the trunk gives for whole pictures, float32 (N, F)."""
    pair.eval()
    parts = []
    with progress_bar("features", len(pictures), enabled=progress) as advance:
        for batch in DataLoader(pictures, batch_size=32):
            parts.append(pair.image.pool(batch))
            advance(len(batch))
    return torch.cat(parts)


@torch.no_grad()
def _check_side(pair: TowerPair, side: int) -> None:
    try:
        pair.image.eval().pool(torch.zeros(1, 3, side, side))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InvalidInputError(
            f"the image tower does not take crops of {side} pixels "
            f"({str(error).splitlines()[0][:120]}); leave crop_size out for its own size"
        ) from error
