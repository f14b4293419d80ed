import csv
import io
import runpy
import shutil
import sys

import pytest

from tests.conftest import ROOT
from videomm.cli.demo import CLIP


@pytest.fixture
def run(monkeypatch, capsys):
    def run(name, *args):
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_find_scene(run):
    seconds = float(run("find_scene.py", CLIP, "a red cup of coffee").split()[0])
    assert 9 <= seconds <= 12


def test_classify_folder(run, tmp_path):
    shutil.copy(CLIP, tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("not a video")
    rows = list(csv.DictReader(io.StringIO(run("classify_folder.py", tmp_path, "a cat,a boat"))))
    assert [row["path"] for row in rows] == ["a.mp4", "b.mp4"]
    assert rows[0]["label"] == "a cat"
    assert "b.mp4" in rows[1]["error"]


@pytest.mark.slow
def test_classify_onnx_says_what_classify_says(run, tiny, tmp_path):
    from tests.sharing.models import random_model
    from videomm.pipeline import VideoPipeline
    from videomm.sharing.onnx_export import export_model

    model = random_model(tiny)
    export_model(model, tmp_path / "out")
    lines = run("classify_onnx.py", tmp_path / "out", CLIP).splitlines()
    found = {label: float(score) for score, label in (line.split("   ") for line in lines)}
    expected = VideoPipeline(model, progress=False).classify(CLIP)
    assert list(found) == [item.label for item in expected.labels]
    for item in expected.labels:
        assert found[item.label] == pytest.approx(item.score, abs=0.02)


@pytest.mark.slow
def test_demo_clip_is_what_its_script_makes(run, tmp_path):
    pytest.importorskip("skimage", reason="photographs come with scikit-image: videomm[demo]")
    import av

    run("make_demo_clip.py", tmp_path / "demo.mp4")

    def pictures(path):
        # Another build of x264 or Pillow may choose other bits, hence pictures and not bytes.
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    made, kept = pictures(tmp_path / "demo.mp4"), pictures(CLIP)
    assert len(made) == len(kept) == 455
    for a, b in zip(made[::20], kept[::20], strict=True):
        # Builds were up to 3 levels apart; another scene is 60 apart.
        assert abs(a.astype(int) - b).mean() < 4


def test_demo_clip_is_small():
    assert CLIP.stat().st_size < 1_000_000
