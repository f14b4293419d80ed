import json

import pytest

from videomm.errors import InvalidInputError
from videomm.training.labelled import Example, read_labelled


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_labels(tmp_path):
    touch(tmp_path, "dogs/b.mp4", "cats/deep/a.MKV", "cats/a.mp4", "cats/notes.txt", "loose.mp4")
    touch(tmp_path, ".hidden/x.txt", "birds/none.txt")
    data = read_labelled(tmp_path)
    assert data.labels == ("cats", "dogs")
    assert not data.multi_label
    assert [(e.path, e.labels, e.split) for e in data.examples] == [
        (str(tmp_path / "cats" / "a.mp4"), ("cats",), None),
        (str(tmp_path / "cats" / "deep" / "a.MKV"), ("cats",), None),
        (str(tmp_path / "dogs" / "b.mp4"), ("dogs",), None),
    ]
    assert data.warnings == (
        f"no video in the folder {tmp_path / 'birds'}",
        "1 videos lie beside the label folders and are left out",
    )


def test_folders_named_as_splits_hold_the_label_folders(tmp_path):
    touch(tmp_path, "train/cats/a.mp4", "validation/dogs/b.mp4", "test/cats/c.mp4")
    data = read_labelled(tmp_path)
    assert [(e.labels, e.split) for e in data.examples] == [
        (("cats",), "test"),
        (("cats",), "train"),
        (("dogs",), "val"),
    ]


def test_csv(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text(
        "\ufeffpath,label,split,group,start,end,note\n"
        'a.mp4,"cat, red",train,film 1,,,x\n'
        "/b.mp4,dog,validation,,1.5,4,\n",
        encoding="utf-8",
    )
    data = read_labelled(file)
    assert data.examples == (
        Example(str(tmp_path / "a.mp4"), ("cat, red",), "train", "film 1"),
        Example("/b.mp4", ("dog",), "val", None, 1.5, 4.0),
    )
    assert data.examples[1].part == "/b.mp4 [1.5-4 s]"
    assert data.warnings == ("columns that mean nothing here: note",)


def test_several_labels_a_clip_or_none(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("path,labels\na.mp4,dog; cat\nb.mp4,\n")
    data = read_labelled(file)
    assert data.multi_label
    assert [e.labels for e in data.examples] == [("cat", "dog"), ()]
    lines = tmp_path / "data.jsonl"
    rows = [{"path": "a.mp4", "labels": ["dog", "cat"]}, {"path": "b.mp4", "labels": []}]
    lines.write_text("\n\n".join(json.dumps(row) for row in rows))
    assert read_labelled(lines).examples == data.examples


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("path,lable\na,b\n", "expected path, and label"),
        ("path,label,labels\na,b,c\n", "not both"),
        ("path,label\na\n", "line 2: 2 columns expected"),
        ("path,label\na,b,c\n", "line 2: 2 columns expected"),
        ("path,label\n,b\n", "line 2: path must be a file's name"),
        ("path,label\na,\n", "line 2: label must be a text"),
        ("path,label,split\na,b,dev\n", "line 2: split must be one of train, val, test"),
        ("path,label,start\na,b,x\n", "line 2: start must be seconds >= 0, got 'x'"),
        ("path,label,start,end\na,b,3,2\n", "line 2: end must lie after start"),
        ("path,label\na,b\na,c\n", "line 3: .*a is on line 2 already"),
        ("path,label\na,b\nc,b\n", "give at least two"),
        ('path,label\n"a,b\n', "cannot be read"),
    ],
)
def test_wrong_csv_says_where(tmp_path, text, message):
    file = tmp_path / "data.csv"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_labelled(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: expected an object"),
        ('{"path": "a", "labels": "b"}\n{"path": "c", "labels": [1]}', "line 2: labels must be"),
        ('{"path": "a", "labels": ["b;c"]}', "line 1: labels must be .* without ;"),
        ('{"path": 3, "label": "b"}', "line 1: path must be"),
        ('{"path": "a", "label": ["b"]}', "line 1: label must be a text"),
    ],
)
def test_wrong_jsonl_says_where(tmp_path, text, message):
    file = tmp_path / "data.jsonl"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_labelled(file)


def test_what_is_no_source(tmp_path):
    with pytest.raises(InvalidInputError, match="is not there; data are a folder"):
        read_labelled(tmp_path / "gone.csv")
    touch(tmp_path, "x.xlsx")
    with pytest.raises(InvalidInputError, match=r"is neither a \.csv nor a \.jsonl file"):
        read_labelled(tmp_path / "x.xlsx")
    with pytest.raises(InvalidInputError, match="expected a folder a label"):
        read_labelled(tmp_path)
