import shutil

import numpy as np
import pytest

from videomm.cli.demo import CLIP


def test_writes_one_file(videomm, tmp_path, tiny):
    out = tmp_path / "deep" / "a.npz"
    done = videomm("embed", CLIP, "--out", out, "--json")
    assert done.code == 0
    assert done.rows[0]["out"] == str(out)
    with np.load(out, allow_pickle=False) as saved:
        n = len(saved["times"])
        assert n == done.rows[0]["frames"] == 37
        assert saved["embeddings"].shape == (n, tiny.dim)
        assert saved["embeddings"].dtype == np.float32
        assert float(saved["duration"]) == pytest.approx(18.2)
        assert str(saved["encoder"]) == tiny.id
        assert str(saved["path"]) == str(CLIP)
    assert [entry.name for entry in out.parent.iterdir()] == ["a.npz"]


def test_writes_a_file_a_video_and_never_one_over_another(videomm, tmp_path):
    for name in ("a/clip.mp4", "b/clip.mp4"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(CLIP, tmp_path / name)
    (tmp_path / "b" / "bad.mp4").write_text("text")
    out = tmp_path / "out"
    done = videomm("embed", tmp_path / "a", tmp_path / "b", "--out", out)
    assert done.code == 1
    assert sorted(entry.name for entry in out.iterdir()) == ["clip-2.npz", "clip.npz"]


def test_one_file_cannot_hold_two_videos(videomm, tmp_path):
    shutil.copy(CLIP, tmp_path / "a.mp4")
    done = videomm("embed", CLIP, tmp_path / "a.mp4", "--out", tmp_path / "x.npz", "--json")
    assert done.code == 1
    assert "holds one video; give a folder" in done.rows[1]["error"]["message"]


def test_place_that_cannot_be_written(videomm, tmp_path):
    (tmp_path / "file").touch()
    done = videomm("embed", CLIP, "--out", tmp_path / "file" / "a.npz", "--json")
    assert done.code == 1
    assert "cannot write" in done.rows[0]["error"]["message"]


def test_fps_and_max_frames(videomm, tmp_path):
    videomm("embed", CLIP, "--out", tmp_path / "a.npz", "--fps", 5, "--max-frames", 20)
    assert len(np.load(tmp_path / "a.npz")["times"]) == 20
    videomm("embed", CLIP, "--out", tmp_path / "a.npz", "--max-frames", 3)
    assert len(np.load(tmp_path / "a.npz")["times"]) == 3
