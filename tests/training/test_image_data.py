"""Split rules and reading of the image sets."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from videomm.training.image_data import (
    ALL_SETS,
    ImageArchive,
    ImageRow,
    assign_val,
    load_rows,
    load_split,
)

from .conftest import needs_data


def rows(set_name: str, splits: list[str]) -> list[ImageRow]:
    return [ImageRow(set_name, f"{i:05d}.webp", split) for i, split in enumerate(splits)]


def test_every_tenth_train_row_becomes_val() -> None:
    given = assign_val(rows("caltech101", ["train"] * 15 + ["test"] * 10 + ["train"] * 10))
    assert [i for i, row in enumerate(given) if row.split == "val"] == [0, 10, 30]
    assert all(row.split == "test" for row in given[15:25])


def test_a_set_with_its_own_val_is_left_alone() -> None:
    splits = ["train"] * 11 + ["val"]
    assert [row.split for row in assign_val(rows("sports100", splits))] == splits


def test_images_that_the_backbone_saw_are_never_evaluated_on() -> None:
    splits = ["train"] * 30
    assert [row.split for row in assign_val(rows("imagenet_samples", splits))] == splits


def test_archive_reads_members_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    with tarfile.open(folder / "toy.tar", "w") as tar:
        for number, colour in enumerate([(255, 0, 0), (0, 0, 255)]):
            buffer = io.BytesIO()
            Image.new("RGB", (8, 6), colour).save(buffer, "PNG")
            member = tarfile.TarInfo(f"{number}.png")
            member.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(member, buffer)
    raw = {"file": "1.png", "split": "train", "captions": ["blue ."], "qa": []}
    (folder / "toy.jsonl").write_text(json.dumps(raw) + "\n")
    row = load_rows(tmp_path, "toy")[0]
    assert (row.captions, row.split) == (("blue .",), "val")
    image = ImageArchive(tmp_path).read(row)
    assert image.size == (8, 6)
    assert image.getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(KeyError, match=r"toy.tar has no member '9.png'"):
        ImageArchive(tmp_path).read(ImageRow("toy", "9.png", "train"))


@needs_data
def test_splits_of_the_real_sets(data: Path) -> None:
    train, val = load_split(data, "train"), load_split(data, "val")
    test = load_split(data, "test")
    keys = [{(row.set_name, row.file) for row in part} for part in (train, val, test)]
    assert [len(part) for part in keys] == [len(train), len(val), len(test)]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    assert sum(row.set_name == "flickr8k" for row in test) == 1000
    assert {row.set_name for row in train} == set(ALL_SETS)
