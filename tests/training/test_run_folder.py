import pytest

from videomm.errors import InvalidInputError
from videomm.training.run_folder import check_same, keep_split, to_json, write_text


def test_texts_are_written_whole(tmp_path):
    write_text(tmp_path / "a", to_json({"é": (1, 2)}))
    assert (tmp_path / "a").read_text() == '{\n "é": [\n  1,\n  2\n ]\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_resumed_run_must_fit(tmp_path):
    check_same({"seed": 1, "sizes": [1, 2]}, {"seed": 1, "sizes": (1, 2)}, tmp_path)
    with pytest.raises(InvalidInputError, match="began with seed 1, now it is 2; resume it with"):
        check_same({"seed": 1}, {"seed": 2}, tmp_path)
    keep_split(tmp_path / "split.csv", "a", "clips", "videos")
    keep_split(tmp_path / "split.csv", "a", "clips", "videos")
    with pytest.raises(InvalidInputError, match="videos were added, removed or changed"):
        keep_split(tmp_path / "split.csv", "b", "clips", "videos")
