import json

import pytest
from PIL import Image

from tests.picture_pairs import write_pairs
from videomm.errors import InvalidInputError
from videomm.training.picture_pairs import (
    Picture,
    PictureFiles,
    check_pictures,
    read_pictures,
    split_pictures,
)


def test_csv_rows_of_one_picture_are_its_texts(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text('path,text,split,group,mood\na.jpg,"a cat, black",train,g,x\nb.jpg,dog,val,,x\n'
                    "a.jpg,one cat,train,g,x\n")  # fmt: skip
    pictures, notes = read_pictures(file)
    assert pictures == [
        Picture(str(tmp_path / "a.jpg"), ("a cat, black", "one cat"), "train", "g"),
        Picture(str(tmp_path / "b.jpg"), ("dog",), "val"),
    ]
    assert notes == ["columns that mean nothing here: mood"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"path": "a.jpg"}, "line 2: text must be a text"),
        ({"path": "a.jpg", "text": []}, "line 2: text must be a text"),
        ({"path": "a.jpg", "text": ["a", 3]}, "line 2: text must be a text"),
        ({"text": "a"}, "line 2: path must be a picture's file, got None"),
        ({"path": "a.jpg", "text": "a", "split": "x"}, "line 2: split must be one of train"),
        ({"path": "0.jpg", "text": "a", "split": "val"}, "with another split or group"),
    ],
)
def test_a_wrong_row_is_named(row, message, tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in ({"path": "0.jpg", "text": "a"}, row)))
    with pytest.raises(InvalidInputError, match=message):
        read_pictures(file)


def test_files_of_another_form_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="is not there; data are a "):
        read_pictures(tmp_path / "gone.csv")
    (tmp_path / "x.txt").touch()
    with pytest.raises(InvalidInputError, match=r"neither a .csv nor a .jsonl file"):
        read_pictures(tmp_path / "x.txt")
    (tmp_path / "x.csv").write_text("path,text\n")
    with pytest.raises(InvalidInputError, match="has no rows"):
        read_pictures(tmp_path / "x.csv")


def test_bad_pictures_are_listed_and_skipped(tmp_path):
    pictures, _ = read_pictures(write_pairs(tmp_path, 3))
    whole = (tmp_path / "000.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    bad = [Picture(str(tmp_path / name), ("x",)) for name in ("cut.png", "gone.png")]
    good, digests, skipped = check_pictures([bad[0], *pictures, bad[1]])
    assert good == pictures
    assert len(set(digests)) == 3
    assert "cut.png' is not a picture that can be read" in skipped[0].message
    assert "gone.png' is not there" in skipped[1].message
    with pytest.raises(InvalidInputError, match="none of 2 pictures can be read; the first: "):
        check_pictures(bad)


def test_pictures_are_turned_as_the_camera_said(tmp_path):
    image = Image.new("RGB", (4, 2), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert PictureFiles().read(Picture(str(tmp_path / "a.jpg"), ("x",))).size == (2, 4)


def plain(number, **more):
    return [Picture(f"{i}.png", ("x",), **more) for i in range(number)]


def test_whole_sources_are_held_out():
    pictures = [Picture(f"{i}.png", ("x",), group=str(i // 4)) for i in range(80)]
    splits, notes = split_pictures(pictures, [str(i) for i in range(80)], seed=1)
    assert splits.count("val") == 8
    assert notes == []
    for group in range(20):
        assert len(set(splits[4 * group : 4 * group + 4])) == 1
    assert split_pictures(pictures, [str(i) for i in range(80)], seed=1)[0] == splits
    copies, _ = split_pictures(plain(20), [str(i // 2) for i in range(20)], seed=0)
    assert copies[::2] == copies[1::2]


def test_given_splits_are_kept():
    train, val = plain(9, split="train"), plain(1, split="val")
    splits, notes = split_pictures([*train, *val], list("abcdefghia"), seed=0)
    assert splits == ["train"] * 9 + ["val"]
    assert "1 sources (groups or copies) are in train and in val" in notes[0]
    splits, notes = split_pictures(train, list("abcdefghi"), seed=0)
    assert splits.count("val") == 1
    assert notes == ["no picture has the split val; it was taken from train"]
    with pytest.raises(InvalidInputError, match="give all a split, or none"):
        split_pictures([*train, Picture("x", ("x",))], list("abcdefghij"), seed=0)
    with pytest.raises(InvalidInputError, match="no picture has the split train"):
        split_pictures(val, ["a"], seed=0)
    with pytest.raises(InvalidInputError, match="too few pictures: train has 1 sources"):
        split_pictures(plain(3), ["a", "a", "a"], seed=0)


def test_a_column_that_is_missing_is_named(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("file,text\na.png,a cat\n")
    with pytest.raises(InvalidInputError, match="no column 'path'; its columns are file, text"):
        read_pictures(file)
