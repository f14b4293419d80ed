import os
import shutil
import subprocess
import sys

import pytest

from videomm.cli.demo import CLIP

LABELS = ("--labels", "a cat,a rocket,a football match")


def test_json_has_the_documented_shape(videomm):
    done = videomm("classify", CLIP, *LABELS, "--json")
    assert (done.code, done.err) == (0, "")
    (row,) = done.rows
    assert {"path", "model", "decoder", "complete", "warnings", "labels", "segments"} <= set(row)
    assert row["path"] == str(CLIP)
    assert row["model"] == "tiny"
    assert row["complete"] is True
    assert {item["label"] for item in row["labels"]} == {"a cat", "a rocket", "a football match"}
    assert sum(item["score"] for item in row["labels"]) == pytest.approx(1)
    assert set(row["segments"][0]) == {"start", "end", "label", "score"}
    assert row["segments"][0]["start"] == 0
    assert row["segments"][-1]["end"] == pytest.approx(18.2)


def test_text_for_people_is_plain_when_piped(videomm):
    done = videomm("classify", CLIP, *LABELS)
    assert done.code == 0
    assert f"{CLIP}  (0:18.2, tiny, " in done.out
    assert "a football match" in done.out
    assert "\x1b" not in done.out
    assert "0:00.0 - " in done.out


def test_top_keeps_the_best(videomm):
    (row,) = videomm("classify", CLIP, *LABELS, "--json", "--top", 1).rows
    assert len(row["labels"]) == 1


def test_unknown_threshold(videomm):
    done = videomm("classify", CLIP, *LABELS, "--unknown", 1.0, "--json")
    assert done.rows[0]["unknown"] is True
    assert "unknown: no label" in videomm("classify", CLIP, *LABELS, "--unknown", 1.0).out


def test_multi_label_scores_are_independent(videomm):
    (row,) = videomm("classify", CLIP, "--labels", "a cat", "--multi-label", "--json").rows
    assert 0 <= row["labels"][0]["score"] <= 1


def test_bad_files_cost_their_row_and_exit_code_1(videomm, tmp_path):
    good, text, empty = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"
    shutil.copy(CLIP, good)
    text.write_text("not a video at all\n" * 20)
    empty.touch()
    done = videomm("classify", tmp_path, tmp_path / "gone.mp4", *LABELS, "--json")
    assert done.code == 1
    assert [row["path"] for row in done.rows] == [
        str(path) for path in (good, text, empty, tmp_path / "gone.mp4")
    ]
    kinds = [row.get("error", {}).get("kind") for row in done.rows]
    assert kinds == [None, "NotAVideoError", "EmptyVideoError", "VideoNotFoundError"]
    people = videomm("classify", text, good, *LABELS)
    assert people.code == 1
    assert people.err.startswith("videomm: ")
    assert people.err.count("\n") == 1
    assert str(good) in people.out


def test_paths_from_stdin(videomm, tmp_path):
    done = videomm("classify", "-", *LABELS, "--json", stdin=f"{CLIP}\n\n/gone.mp4\n".encode())
    assert [row["path"] for row in done.rows] == [str(CLIP), "/gone.mp4"]


def test_folder_without_videos_is_an_error_row(videomm, tmp_path):
    (tmp_path / "notes.txt").touch()
    done = videomm("classify", tmp_path, *LABELS, "--json")
    assert done.code == 1
    assert "no video files in the folder" in done.rows[0]["error"]["message"]


def test_hidden_files_in_a_folder_are_no_videos(videomm, tmp_path):
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    (tmp_path / "._clip.mp4").write_bytes(b"Mac OS X")
    done = videomm("classify", tmp_path, *LABELS, "--json")
    assert done.code == 0
    assert [row["path"] for row in done.rows] == [str(tmp_path / "clip.mp4")]


def test_a_terminal_without_bars_still_gets_the_labels():
    call = [sys.executable, "-m", "videomm.cli.main", "classify", CLIP, *LABELS]
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(call, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "???" in done.stdout


def test_url_is_refused_with_advice(videomm):
    done = videomm("classify", "https://example.org/a.mp4", *LABELS, "--json")
    assert done.rows[0]["error"]["kind"] == "RemoteVideoError"
    assert "download it first" in done.rows[0]["error"]["message"]


def test_labels_file(videomm, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("a cat\n\na cup, red\n")
    (row,) = videomm("classify", CLIP, "--labels-file", file, "--json").rows
    assert {item["label"] for item in row["labels"]} == {"a cat", "a cup, red"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give the labels with --labels 'a,b,c' or --labels-file FILE"),
        (("--labels", "a", "--labels-file", "f"), "give the labels with --labels"),
        (("--labels-file", "/gone"), "No such file"),
        (("--labels-file", os.devnull), "is empty: give one label a line"),
        (("--labels", "a,b", "--top", "0"), "--top"),
        (("--labels", "a,b", "--unknown", "7"), "--unknown"),
        (("--labels", "a,b", "--fps", "0"), "fps must be a number above 0"),
        (("--labels", "a,b", "--decoder", "x"), "decoder must be one of auto, decord, pyav"),
        (("--labels", "a,b", "--model", "x"), "unknown model 'x'"),
        (("--labels", "a,b", "--device", "x"), "device 'x' cannot be used here"),
        (("--labels", "a,a"), "label 'a' is given more than once"),
        (("--labels", "a"), "give at least two"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_one_message(videomm, args, message):
    done = videomm("classify", CLIP, *args)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_odd_names(videomm, tmp_path):
    path = tmp_path / "[red]näme with :smile: [bold].mp4"
    shutil.copy(CLIP, path)
    assert str(path) in videomm("classify", path, *LABELS).out


@pytest.mark.slow
def test_interrupt_is_clean(tmp_path):
    code = (
        "import sys, videomm.cli.batch as b\n"
        "def stop(*a): raise KeyboardInterrupt\n"
        "b.Settings.load = stop\n"
        "sys.argv = ['videomm', 'classify', 'x.mp4', '--labels', 'a,b']\n"
        "from videomm.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "videomm: interrupted\n")


SAID = "1\n00:00:01,000 --> 00:00:02,800\nWhat a football match\n"


def test_subtitles_are_heard_when_asked_for(videomm, tmp_path):
    video = tmp_path / "clip.mp4"
    shutil.copy(CLIP, video)
    (silent,) = videomm("classify", video, *LABELS, "--json").rows
    (tmp_path / "clip.en.srt").write_text(SAID)
    (unasked,) = videomm("classify", video, *LABELS, "--json").rows
    assert unasked == silent
    for given in ("auto", tmp_path / "clip.en.srt"):
        (row,) = videomm("classify", video, *LABELS, "--subtitles", given, "--json").rows
        assert row["warnings"][-1].startswith("1 text from clip.en.srt, fusion late, weight 0.40")
        before, after = (
            next(item["score"] for item in result["labels"] if item["label"] == "a football match")
            for result in (silent, row)
        )
        assert after > 2 * before
    (row,) = videomm(
        "classify", video, *LABELS, "--subtitles", "auto", "--fusion", "none", "--json"
    ).rows
    assert {**row, "warnings": []} == silent
    (row,) = videomm("classify", video, *LABELS, "--subtitles", "none", "--json").rows
    assert row == silent


def test_bad_subtitles_and_missing_weights_cost_one_line(videomm, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "a.srt").write_text("prose")
    (tmp_path / "b.mp4").touch()
    for args, code, message in [
        (("--subtitles", tmp_path / "a.srt"), 1, "has no timed text in it"),
        (("--subtitles", tmp_path / "gone.srt"), 1, "is not there; --subtitles takes auto"),
        (("--subtitles", "a.srt", tmp_path / "b.mp4"), 2, "belong to one video, got 2"),
        (("--transcribe", "--speech-model", "tiny"), 2, "the weights of the speech model 'tiny'"),
        (("--fusion", "both"), 2, "fusion must be one of none, early, late, hybrid"),
    ]:
        done = videomm("classify", CLIP, *LABELS, *args)
        assert done.code == code, done
        assert message in done.err
        assert done.err.count("\n") == 1, done.err
