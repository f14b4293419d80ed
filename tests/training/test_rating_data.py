import numpy as np
import pytest

from videomm.errors import InvalidInputError
from videomm.training.rating_data import Rating, read_ratings


def write(folder, name, *lines):
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def test_the_file_of_tvsum(tmp_path):
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "abc.webm").touch()
    table = write(tmp_path, "anno.tsv", "abc\tVT\t1,2,5", "x-y\tVU\t4,4", "abc\tVT\t1,1,3")
    data = read_ratings(table)
    first, second = data.videos.examples
    assert (first.path, second.path) == (
        str(tmp_path / "video" / "abc.webm"),
        str(tmp_path / "x-y.mp4"),
    )
    assert data.ratings[first.path] == (Rating((1.0, 2.0, 5.0)), Rating((1.0, 1.0, 3.0)))


def test_scores_of_frames_are_spread_evenly_and_those_of_shots_are_two_seconds():
    times = np.array([0.0, 0.9, 1.0, 2.9, 3.0])
    even = Rating(tuple(range(30)))
    assert even.at(times, 3.0).tolist() == [0, 9, 10, 29, 29]
    shots = Rating((1.0, 5.0, 3.0))
    assert shots.at(np.array([0.0, 1.9, 2.0, 4.1, 5.2]), 5.3).tolist() == [1, 1, 5, 3, 3]


def test_stretches_of_several_people(tmp_path):
    table = write(
        tmp_path,
        "r.csv",
        "path,start,end,score,person,split,group",
        "a.mp4,2,4,5,ann,test,film",
        "a.mp4,0,1,1,ann,test,film",
        "a.mp4,0,4,3,bob,test,film",
    )
    data = read_ratings(table)
    (example,) = data.videos.examples
    assert (example.split, example.group) == ("test", "film")
    ann, bob = data.ratings[example.path]
    times = np.array([0.0, 0.99, 1.0, 2.0, 3.9, 4.0])
    assert np.array_equal(ann.at(times, 5.0), [1, 1, np.nan, 5, 5, np.nan], equal_nan=True)
    assert np.array_equal(bob.at(times, 5.0), [3, 3, 3, 3, 3, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("a.tsv", ["abc 1,2"], "a.tsv line 1: expected a video's id, a category and scores"),
        ("a.tsv", ["abc\tVT\t1,two"], "a.tsv line 1: expected"),
        ("a.tsv", ["abc\tVT\t1,nan"], "a.tsv line 1: expected"),
        ("a.tsv", [], "has no rows"),
        (
            "a.csv",
            ["path,score", "a.mp4,3"],
            "has path, score; expected path, start, end and score",
        ),
        ("a.csv", ["path,start,end,score", "a.mp4,0,,3"], "line 2: start and end must be seconds"),
        ("a.csv", ["path,start,end,score", "a.mp4,0,1,high"], "line 2: score must be a number"),
        (
            "a.csv",
            ["path,start,end,score", "a.mp4,0,2,3", "a.mp4,1,3,3"],
            "rates 0-2 s and 1-3 s; stretches must not overlap: tell people apart in a column",
        ),
        (
            "a.csv",
            ["path,start,end,score,split", "a.mp4,0,2,3,train", "a.mp4,2,3,3,test"],
            "line 3: split and group of .* differ from an earlier row's",
        ),
        ("a.txt", ["x"], "is no .csv, .jsonl or .tsv file"),
    ],
)
def test_what_is_wrong(tmp_path, name, lines, message):
    with pytest.raises(InvalidInputError, match=message):
        read_ratings(write(tmp_path, name, *lines))


def test_jsonl(tmp_path):
    table = write(tmp_path, "r.jsonl", '{"path": "a.mp4", "start": 0, "end": 2, "score": 0.5}')
    assert read_ratings(table).ratings[str(tmp_path / "a.mp4")] == (Rating((0.5,), ((0.0, 2.0),)),)
