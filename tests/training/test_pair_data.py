import pytest
import torch

from tests.picture_pairs import write_pairs
from videomm.errors import InvalidInputError
from videomm.training.pair_data import build_data, prepare
from videomm.training.picture_pairs import Picture, read_pictures
from videomm.training.pretrain_config import ImageStart, PretrainRunConfig
from videomm.training.start import join_towers, load_start


@pytest.fixture(scope="module")
def start():
    return load_start(ImageStart())


def config(**tables):
    return PretrainRunConfig.from_dict({"data": "x", "out": "y"} | tables)


def test_notes_say_what_is_left_out(tmp_path, monkeypatch):
    pictures, _ = read_pictures(write_pairs(tmp_path, 6))
    given = ["train", "train", "val", "val", "test", "train"]
    rows = [Picture(p.path, p.texts, split) for p, split in zip(pictures, given, strict=True)]
    rows.append(Picture(str(tmp_path / "gone.png"), ("x",), "train"))
    monkeypatch.setattr("videomm.training.pair_data.MOST_VAL", 1)
    prepared = prepare(rows, ["first"], config())
    assert prepared.notes == [
        "first",
        "figures are on the first 1 of 2 validation pictures",
        "1 pictures have the split test and were left alone",
        "a step has all 3 training pictures: batch_size is more than that",
    ]
    assert [p.path for p in prepared.train] == [rows[i].path for i in (0, 1, 5)]
    assert [p.path for p in prepared.val] == [rows[2].path]
    assert [item.clip for item in prepared.skipped] == [rows[6].path]
    assert prepared.split.splitlines()[0] == "path,split,content"


def test_equal_texts_are_right_for_every_picture_that_has_them(tmp_path, start):
    pictures, _ = read_pictures(write_pairs(tmp_path, 5))
    texts = [("a", "b"), ("c",), ("b", "d"), ("e",), ("b",)]
    splits = ["val", "train", "val", "train", "val"]
    rows = [Picture(p.path, t, s) for p, t, s in zip(pictures, texts, splits, strict=True)]
    settings = config(train={"crop_size": 32})
    prepared = prepare(rows, [], settings)
    pair = join_towers(start, settings.image, frozen_text=True)
    data = build_data(start, pair, prepared, settings)
    names = [prepared.texts[row] for row in data.validation.caption_rows]
    found = [
        {name for name, yes in zip(names, row, strict=True) if yes}
        for row in data.validation.right.tolist()
    ]
    assert found == [{"a", "b"}, {"b", "d"}, {"b"}]
    assert data.states is not None
    assert len(data.states) == len(data.ids) == 5
    assert data.crops[0, 7].shape == (3, 32, 32)
    assert torch.equal(data.crops[0, 7], data.crops[0, 7])


def test_a_crop_that_the_tower_does_not_take_is_an_error(tmp_path):
    settings = config(
        image={"start": "ViT-S-32-alt", "weights": "random"}, train={"crop_size": 100}
    )
    pictures, _ = read_pictures(write_pairs(tmp_path, 4))
    start = load_start(settings.image)
    pair = join_towers(start, settings.image, frozen_text=False)
    with pytest.raises(InvalidInputError, match="does not take crops of 100 pixels"):
        build_data(start, pair, prepare(pictures, [], settings), settings)
