import pytest

from videomm.cli import doctor
from videomm.cli.demo import CLIP


@pytest.fixture
def demo_segments(videomm):
    done = videomm("demo", "--json")
    assert done.code == 0
    return done.rows[0]["segments"]


def test_demo_finds_the_shots_of_its_clip(demo_segments):
    found = {(round(s["start"]), s["label"]) for s in demo_segments}
    assert {(0, "a rocket launch"), (6, "a cat"), (9, "a cup of coffee")} <= found
    assert {(12, "the night sky"), (14, "a man with a camera")} <= found
    # A part of the woman's scene is taken for something else.
    (start,) = [s["start"] for s in demo_segments if s["label"] == "a smiling woman"]
    assert 3 <= start < 5


def test_demo_leaves_nothing_but_its_page(videomm, own_cache, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out = videomm("demo").out
    assert str(CLIP) in out
    assert list(own_cache.iterdir()) == []
    (folder,) = tmp_path.iterdir()
    page = folder / "summary" / "summary.html"
    assert page.is_file()
    assert f"  page: {page}" in out


def test_demo_sums_up_and_answers_after_it_classifies(videomm, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second, third = videomm("demo", "--json").rows
    assert "labels" in first
    assert {0, 3, 6} <= {item["start"] for item in second["scenes"]}
    assert set(second["files"]) >= {"page", "storyboard", "reel"}
    assert third["question"] == "When does the cat appear?"
    assert third["answer"].startswith("6.0-9.0 s")


def test_models_lists_and_filters(videomm):
    done = videomm("models", "siglip", "--json")
    assert done.rows
    assert all("siglip" in row["model"].lower() for row in done.rows)
    assert videomm("models").out.startswith("tiny  (embedded, default)\n")
    done = videomm("models", "zzz")
    assert done.code == 2
    assert "no model has 'zzz' in its name; videomm models lists them all" in done.err


def test_cache_shows_and_clears(videomm, own_cache):
    videomm("classify", CLIP, "--labels", "a,b")
    (row,) = videomm("cache", "--json").rows
    assert row["timelines"] == 1
    assert row["directory"] == str(own_cache)
    assert "1 timelines" in videomm("cache", "--clear").out
    assert videomm("cache", "--json").rows[0]["timelines"] == 0


def test_no_cache_leaves_no_trace(videomm, own_cache):
    videomm("classify", CLIP, "--labels", "a,b", "--no-cache")
    assert list(own_cache.iterdir()) == []


def test_doctor_is_content_here(videomm):
    done = videomm("doctor", "--json")
    checks = {row["name"]: row for row in done.rows}
    assert done.code == 0, done.out
    assert set(checks) == {
        *("python", "packages", "torch pair", "decord", "PyAV", "device", "cache", "tiny")
    }
    assert "ok   tiny: the embedded model loads" in videomm("doctor").out


def test_doctor_names_a_torch_and_torchvision_that_do_not_fit(videomm, monkeypatch):
    def broken():
        raise RuntimeError("operator torchvision::nms does not exist")

    broken.__name__ = "_torch_pair"
    monkeypatch.setattr(doctor, "_torch_pair", broken)
    done = videomm("doctor")
    assert done.code == 1
    assert "BAD  torch pair: RuntimeError: operator torchvision::nms" in done.out
    assert "cure: torch and torchvision come from different builds" in done.out


def test_doctor_names_two_decords(videomm, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0")
    done = videomm("doctor")
    assert done.code == 1
    assert "decord 1.0 and decord2 1.0 both install the module decord" in done.out
    assert "pip uninstall -y decord decord2" in done.out


def test_doctor_names_missing_packages(videomm, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    done = videomm("doctor")
    assert done.code == 1
    assert "cure: pip install torch torchvision" in done.out
