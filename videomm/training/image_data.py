"""The image sets: one tar of WebP files and one JSON row an image, with split rules.

Everything here is plain data and file access; pixels become tensors in ``features``.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

CAPTION_SETS = ("flickr8k", "coco_mini")
LABEL_SETS = ("sports100", "caltech101", "intel_scenes")
ALL_SETS = (*CAPTION_SETS, *LABEL_SETS, "daquar", "imagenet_samples")

# The backbone has seen these images, so a figure measured on them would mean nothing.
TRAIN_ONLY_SETS = ("imagenet_samples",)
VAL_EVERY = 10


@dataclass(frozen=True)
class ImageRow:
    """One image and what is written about it.

    Attributes:
        set_name: Name of the set, e.g. ``flickr8k``.
        file: Member name in the set's tar.
        split: ``train``, ``val``, ``test`` or ``extra``.
        captions: Sentences about the image; empty where the set has none.
        label: The label's text as it goes into a prompt; ``None`` where the set has none.
        answers: Answers to questions about the image (daquar), in order.
        questions: The questions, in the same order.
    """

    set_name: str
    file: str
    split: str
    captions: tuple[str, ...] = ()
    label: str | None = None
    answers: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


def parse_row(set_name: str, raw: dict[str, object]) -> ImageRow:
    """Turn one JSON row into an `ImageRow`; fields that the set lacks stay empty."""
    captions = raw.get("captions", [])
    qa = raw.get("qa", [])
    label = raw.get("label_text")
    if not isinstance(captions, list) or not isinstance(qa, list):
        raise ValueError(f"{set_name}: captions and qa must be lists, got {raw!r:.200}")
    return ImageRow(
        set_name=set_name,
        file=str(raw["file"]),
        split=str(raw["split"]),
        captions=tuple(str(caption).strip() for caption in captions),
        label=None if label is None else str(label),
        answers=tuple(str(pair["answer"]) for pair in qa),
        questions=tuple(str(pair["question"]) for pair in qa),
    )


def assign_val(rows: list[ImageRow]) -> list[ImageRow]:
    """Make every tenth row a validation row, where a set has none of its own.

    Args:
        rows: All rows of one set in file order.

    Returns:
        The rows in the same order; a train row whose number (from 0, counted over all rows)
        is divisible by 10 becomes ``val``, unless the set has a ``val`` or is train only.
    """
    has_val = any(row.split == "val" for row in rows)
    if has_val or (rows and rows[0].set_name in TRAIN_ONLY_SETS):
        return rows
    return [
        replace(row, split="val") if row.split == "train" and number % VAL_EVERY == 0 else row
        for number, row in enumerate(rows)
    ]


def load_rows(data: Path, set_name: str) -> list[ImageRow]:
    """Read one set's rows with the split rules applied.

    Args:
        data: The data folder, which holds ``images/NAME.jsonl``.
        set_name: One of `ALL_SETS`.

    Returns:
        Rows in file order.

    Raises:
        FileNotFoundError: If the set is not in the folder.
    """
    path = data / "images" / f"{set_name}.jsonl"
    with path.open(encoding="utf-8") as lines:
        return assign_val([parse_row(set_name, json.loads(line)) for line in lines])


def load_split(data: Path, split: str, set_names: Iterable[str] = ALL_SETS) -> list[ImageRow]:
    """Rows of one split over several sets, in the order of the sets."""
    return [row for name in set_names for row in load_rows(data, name) if row.split == split]


class ImageArchive:
    """Random access to the images in the sets' tars, safe to copy into worker processes.

    Only offsets are kept; each process opens the files it reads, so nothing is shared.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / "images"
        self._offsets: dict[str, dict[str, tuple[int, int]]] = {}

    def _index(self, set_name: str) -> dict[str, tuple[int, int]]:
        if set_name not in self._offsets:
            with tarfile.open(self._folder / f"{set_name}.tar") as tar:
                self._offsets[set_name] = {m.name: (m.offset_data, m.size) for m in tar}
        return self._offsets[set_name]

    def read(self, row: ImageRow) -> Image.Image:
        """Decode one row's image as RGB.

        Raises:
            KeyError: If the tar has no member of that name.
        """
        members = self._index(row.set_name)
        if row.file not in members:
            raise KeyError(f"{row.set_name}.tar has no member {row.file!r}")
        offset, size = members[row.file]
        with (self._folder / f"{row.set_name}.tar").open("rb") as tar:
            tar.seek(offset)
            return Image.open(io.BytesIO(tar.read(size))).convert("RGB")
