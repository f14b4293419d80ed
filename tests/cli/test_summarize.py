import json
import shutil
from pathlib import Path

import pytest

from videomm.cli.demo import CLIP
from videomm.cli.summarize import result_folders
from videomm.render.folder import FILES

KEYS = {"path", "model", "decoder", "complete", "warnings", "text", "keyframes", "segments"}


def names_in(path):
    return sorted(item.name for item in path.iterdir())


def test_json_has_the_documented_shape(videomm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = videomm("summarize", CLIP, "--json")
    assert (done.code, done.err) == (0, "")
    (row,) = done.rows
    assert {*KEYS, "files", "scenes", "sampling", "duration", "method", "overall"} == set(row)
    assert (row["path"], row["model"], row["complete"]) == (str(CLIP), "tiny", True)
    assert all(set(item) == {"time", "text", "score"} for item in row["keyframes"])
    segments = [*row["segments"], *row["scenes"]]
    assert all(set(item) == {"start", "end", "text", "score"} for item in segments)
    assert row["files"] == {}
    assert names_in(tmp_path) == []


def test_the_demo_clip_has_its_seven_shots(videomm):
    (row,) = videomm("summarize", CLIP, "--json").rows
    cuts = [item["start"] for item in row["scenes"]][1:]
    # The true cuts; frames are looked at twice a second.
    for cut in (3.0, 6.0, 8.6, 11.6, 13.6, 16.2):
        assert any(0 <= found - cut <= 0.5 for found in cuts), cut
    cat = next(item for item in row["scenes"] if item["start"] == 6.0)
    assert "cat" in cat["text"]
    assert 0 < sum(s["end"] - s["start"] for s in row["segments"]) <= 0.15 * 18.2 + 1e-6


def test_text_for_people_is_plain_when_piped(videomm):
    done = videomm("summarize", CLIP)
    assert done.code == 0
    assert f"{CLIP}  (0:18.2, tiny, " in done.out
    assert "  worth watching (2." in done.out
    assert "  keyframes: 0:0" in done.out
    assert "\x1b" not in done.out


def test_length_and_number_can_be_chosen(videomm):
    (row,) = videomm("summarize", CLIP, "--seconds", 6, "--keyframes", 2, "--json").rows
    assert 4.5 < sum(s["end"] - s["start"] for s in row["segments"]) <= 6
    assert len(row["keyframes"]) == 2
    (row,) = videomm("summarize", CLIP, "--ratio", 1, "--json").rows
    assert sum(s["end"] - s["start"] for s in row["segments"]) == pytest.approx(18.2)


def test_own_words(videomm, tmp_path):
    bank = tmp_path / "words.txt"
    bank.write_text("[objects]\nmy tabby\n[scenes]\n[actions]\n")
    (row,) = videomm("summarize", CLIP, "--bank", bank, "--json").rows
    assert row["method"] == "bank"
    assert {item["text"] for item in row["scenes"]} <= {
        "My tabby.",
        "Nothing recognised with confidence.",
    }


def test_one_video_is_written_into_the_folder_itself(videomm, tmp_path):
    done = videomm("summarize", CLIP, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    assert names_in(tmp_path / "out") == sorted(FILES.values())
    files = done.rows[0]["files"]
    assert files == {kind: str(tmp_path / "out" / name) for kind, name in FILES.items()}
    again = videomm("summarize", CLIP, "--out", tmp_path / "out", "--json")
    assert again.code == 1
    assert "give --force" in again.rows[0]["error"]["message"]
    forced = videomm("summarize", CLIP, "--out", tmp_path / "out", "--force", "--no-reel")
    assert forced.code == 0
    assert "reel.mp4" not in names_in(tmp_path / "out")
    assert f"  page: {tmp_path / 'out' / 'summary.html'}" in forced.out


def test_several_videos_get_a_folder_each_and_bad_ones_an_error_row(videomm, tmp_path):
    clips = tmp_path / "clips"
    (clips / "deep").mkdir(parents=True)
    for name in ("a.mp4", "deep/A.mp4"):
        shutil.copy(CLIP, clips / name)
    (clips / "bad.mp4").write_text("not a video at all\n" * 20)
    done = videomm("summarize", clips, "--out", tmp_path / "out", "--no-reel", "--json")
    assert done.code == 1
    assert [row.get("error", {}).get("kind") for row in done.rows] == [None, "NotAVideoError", None]
    assert names_in(tmp_path / "out") == ["A-2", "a"]
    inside = json.loads((tmp_path / "out" / "A-2" / "summary.json").read_text())
    assert inside["path"] == str(clips / "deep" / "A.mp4")


def test_paths_from_stdin(videomm):
    stdin = f"{CLIP}\n/gone.mp4\n".encode()
    done = videomm("summarize", "-", "--json", stdin=stdin)
    assert [row["path"] for row in done.rows] == [str(CLIP), "/gone.mp4"]
    assert done.code == 1


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/a.mp4"], ["out"]),
        (["/x/a.mp4", "/y/a.mkv", "/z/A.mp4"], ["out/a", "out/a-2", "out/A-3"]),
        (["/x/a.mp4", "/x/a-2.mp4", "/y/a.mp4"], ["out/a", "out/a-2", "out/a-3"]),
        (["/x/..mp4", "/x/ .mp4", "/x/b"], ["out/video", "out/video-2", "out/b"]),
    ],
)
def test_folders_never_collide(paths, names):
    folders = result_folders(paths, Path("out"))
    assert [str(folders[path]) for path in paths] == names


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--seconds", "0"), "seconds must be a number above 0"),
        (("--ratio", "2"), "ratio must be above 0 and at most 1"),
        (("--seconds", "2", "--ratio", "0.5"), "give seconds or ratio, not both"),
        (("--keyframes", "0"), "--keyframes"),
        (("--bank", "/gone.txt"), "the bank '/gone.txt' cannot be read"),
        (("--fps", "0"), "fps must be a number above 0"),
        (("--model", "x"), "unknown model 'x'"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_one_message(videomm, args, message):
    done = videomm("summarize", CLIP, *args)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err
