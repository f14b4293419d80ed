import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tests.render.results import make_summary, make_timeline
from tests.render.sound_clips import watch, write_clip
from tests.render.strict_webvtt import parse
from videomm.errors import InvalidInputError, VideoNotFoundError
from videomm.render import folder as folder_module
from videomm.render.folder import FILES, check_folder, write_summary
from videomm.types import Segment

TEXT_FILES = sorted(name for kind, name in FILES.items() if kind != "reel")


def names_in(path):
    return sorted(item.name for item in path.iterdir())


def write(target, path="a.mp4", **options):
    options = {"reel": False, "progress": False, **options}
    return write_summary(make_summary(path=path), make_timeline(path), target, **options)


def test_all_files_are_there_and_named(tmp_path):
    clip = write_clip(tmp_path / "a.mp4")
    result = write(tmp_path / "out" / "deep", str(clip), reel=True)
    folder = tmp_path / "out" / "deep"
    assert names_in(folder) == sorted(FILES.values())
    assert result.files == {kind: str(folder / name) for kind, name in FILES.items()}
    assert len(parse((folder / "chapters.vtt").read_bytes())) == 3
    assert len(parse((folder / "descriptions.vtt").read_bytes())) == 2
    assert len(watch(folder / "reel.mp4").frame_times) == 13
    assert (folder / "storyboard.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    assert names_in(tmp_path) == ["a.mp4", "out"]


def test_the_json_inside_names_its_neighbours(tmp_path):
    result = write(tmp_path / "out")
    inside = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert inside.pop("files") == {kind: name for kind, name in FILES.items() if kind != "reel"}
    outside = result.to_dict()
    outside.pop("files")
    assert inside == outside
    assert names_in(tmp_path / "out") == TEXT_FILES


def test_an_existing_folder_is_kept_without_force(tmp_path):
    target = tmp_path / "out"
    write(target)
    (target / "summary.json").write_text("mine")
    with pytest.raises(InvalidInputError, match="exists and is not empty; give --force"):
        write(target)
    assert (target / "summary.json").read_text() == "mine"
    write(target, force=True)
    assert json.loads((target / "summary.json").read_text())["path"] == "a.mp4"
    assert names_in(tmp_path) == ["out"]


def test_force_never_replaces_what_is_no_summary(tmp_path):
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "chapter1.tex").write_text("years of work")
    with pytest.raises(InvalidInputError, match=r"holds 'chapter1\.tex', which is no summary's"):
        write(target, force=True)
    assert (target / "chapter1.tex").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out")
    assert names_in(tmp_path / "out") == TEXT_FILES


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left")])
def test_nothing_is_left_where_writing_breaks_off(error, tmp_path, monkeypatch):
    write(tmp_path / "out")
    before = (tmp_path / "out" / "summary.json").stat().st_mtime_ns

    def fail(*args):
        raise error

    monkeypatch.setattr(folder_module, "chapters_vtt", fail)
    expected = InvalidInputError if isinstance(error, OSError) else error
    for target, force in ((tmp_path / "new", False), (tmp_path / "out", True)):
        with pytest.raises(expected):
            write(target, force=force)
    assert names_in(tmp_path) == ["out"]
    assert (tmp_path / "out" / "summary.json").stat().st_mtime_ns == before


def test_a_video_that_is_gone_leaves_nothing(tmp_path):
    with pytest.raises(VideoNotFoundError):
        write(tmp_path / "out", str(tmp_path / "gone.mp4"), reel=True)
    assert names_in(tmp_path) == []


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_reel_leaves_nothing(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", seconds=20, size=(1280, 720))
    code = f"""
from dataclasses import replace
from tests.render.results import make_summary, make_timeline
from videomm.render.folder import write_summary
from videomm.types import Segment
path = {str(clip)!r}
summary = replace(make_summary(path=path), segments=(Segment(0.0, 20.0, 1.0),))
if __name__ == "__main__":
    write_summary(summary, make_timeline(path), {str(tmp_path / "out")!r}, progress=False)
"""
    script = tmp_path / "run.py"
    script.write_text(code)
    root = os.path.dirname(os.path.dirname(folder_module.__file__))
    run = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.path.dirname(root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while run.poll() is None and time.monotonic() < deadline:
        reels = list(tmp_path.glob(".out.*/reel.mp4"))
        if reels and reels[0].stat().st_size > 0:
            break
        time.sleep(0.01)
    assert run.poll() is None, run.stderr.read()
    run.send_signal(2)
    _, complaint = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "KeyboardInterrupt" in complaint
    assert names_in(tmp_path) == ["a.mp4", "run.py"]


def test_what_a_killed_run_left_goes_and_what_lives_stays(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from videomm.render.folder import replacing_folder\n"
        "with replacing_folder(Path(sys.argv[1])) as aside:\n"
        "    (aside / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "out"], check=False)
    (left,) = names_in(tmp_path)
    assert left.startswith(".out.")
    (tmp_path / ".out.mine.part").mkdir()
    with folder_module.replacing_folder(tmp_path / "out") as living:
        write(tmp_path / "out")
        assert names_in(tmp_path) == sorted([".out.mine.part", living.name, "out"])
        (living / "summary.json").write_text("{}")
    assert names_in(tmp_path) == [".out.mine.part", "out"]


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="cannot be a folder for results: Not a directory"):
        check_folder(tmp_path / "file", force=True)
    with pytest.raises(InvalidInputError, match="choose another"):
        write(tmp_path / "file" / "below")


def test_names_that_are_no_text_can_be_written(tmp_path):
    path = os.fsdecode(b"\xff\xfe bad.mp4")
    write(tmp_path / "out", path)
    assert "bad.mp4" in (tmp_path / "out" / "summary.html").read_text()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["path"] == path


def test_warnings_of_the_reel_are_in_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "write_reel", lambda *a, **k: ["no sound"])
    summary = replace(make_summary(), segments=(Segment(0.0, 1.0, 1.0),))
    result = write_summary(summary, make_timeline(), tmp_path / "out", progress=False)
    assert result.warnings == ("no sound",)
