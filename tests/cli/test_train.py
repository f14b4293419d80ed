import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.labelled_clips import (
    COLOURS,
    write_colour,
    write_folders,
    write_ratings,
    write_segments,
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = write_folders(tmp_path_factory.mktemp("data") / "clips", list(COLOURS), 5)
    (folder / "red" / "broken.mp4").write_text("no video")
    return folder


@pytest.mark.slow
def test_train_classify_evaluate(videomm, clips, tmp_path):
    out = tmp_path / "colours"
    done = videomm("train", clips, "--out", out, "--tune", "head")
    assert done.code == 1  # one file is broken
    assert f"{clips}: 16 clips, 3 labels" in done.out
    assert "9 to train, 3 to validate, 3 to test; kept epoch " in done.out
    assert "skipped: " in done.out
    for word in ("this model", "zero-shot", "majority", "top-1", "macro F1", "calibration error"):
        assert word in done.out
    assert f"report: {out}/report.html" in done.out
    new = write_colour(tmp_path / "new.mp4", COLOURS["green"], 999)
    (row,) = videomm("classify", new, "--model", out, "--json").rows
    assert row["model"] == str(out)
    assert row["labels"][0]["label"] == "green"
    assert row["segments"][0]["label"] == "green"
    (row,) = videomm("classify", new, "--model", out, "--labels", "a dog,red", "--json").rows
    assert row["warnings"] == [f"{out} was not trained on the label 'a dog'; it may mean little"]
    (row,) = videomm("evaluate", out, clips, "--json").rows
    assert (row["model"], row["clips"], row["left_out"]) == (str(out), 3, 12)
    people = videomm("evaluate", out, clips)
    assert f"{out} on {clips}: 3 clips (12 left out: trained on), 3 labels" in people.out
    (row,) = videomm("evaluate", "tiny", clips, "--json").rows
    assert (row["model"], row["clips"], row["zero_shot"]) == ("tiny", 15, None)
    # Other commands take the folder as well.
    assert videomm("embed", new, "--out", tmp_path / "v.npz", "--model", out).code == 0
    assert "(0:00.4, tiny, " in videomm("ask", new, "What colour is it?", "--model", out).out
    assert videomm("summarize", new, "--model", out).code == 0
    again = videomm("train", clips, "--out", out, "--tune", "head", "--resume", "--json")
    assert again.rows[0]["model"] == str(out)
    assert again.rows[0]["figures"]["top1"]["value"] <= 1


@pytest.mark.slow
def test_train_classify_evaluate_segments(videomm, tmp_path):
    table = write_segments(tmp_path / "videos", 6)
    out = tmp_path / "scenes"
    done = videomm("train", table, "--out", out, "--task", "segments", "--epochs", 12)
    assert done.code == 0
    assert f"{table}: 12 segments of 6 videos, 2 labels" in done.out
    for word in ("frame accuracy", "edit score", "F1@10", "F1@50", "calibration error"):
        assert word in done.out
    assert "of the frames are in no segment and count as background" in done.out
    (row,) = videomm("classify", table.parent / "0.mp4", "--model", out, "--json").rows
    assert {item["label"] for item in row["labels"]} == {"red", "green", "background"}
    assert {item["label"] for item in row["segments"]} <= {"red", "green"}
    people = videomm("evaluate", out, table)
    assert " videos (" in people.out
    assert "left out: trained on), 3 labels" in people.out
    done = videomm("train", table, "--out", out, "--task", "segments", "--tune", "head")
    assert "--tune head is for clips; leave it out for segments" in done.err
    assert videomm("classify", table.parent / "0.mp4", "--model", out, "--labels", "a,b").code == 1
    # Other commands take the folder as well.
    assert videomm("ask", table.parent / "0.mp4", "What colour is it?", "--model", out).code == 0


@pytest.mark.slow
def test_train_summarize_evaluate_importance(videomm, tmp_path):
    table = write_ratings(tmp_path / "rated", 6)
    out, clip = tmp_path / "liked", tmp_path / "rated" / "videos" / "v0.mp4"
    done = videomm("train", table, "--out", out, "--task", "importance", "--epochs", 8)
    assert done.code == 0
    assert f"{table}: 6 videos, rated by up to 3 people each" in done.out
    for word in ("Kendall's tau", "Spearman's rho", "untrained", "people's mean"):
        assert word in done.out
    assert f"use it: videomm summarize CLIP --model {out}" in done.out
    result = videomm("summarize", clip, "--model", out, "--out", tmp_path / "summary", "--no-reel")
    assert f"! what is worth watching is rated as {out} was trained to" in result.out
    assert (tmp_path / "summary" / "summary.html").is_file()
    assert (
        f"{out} on {table}: 2 videos (4 left out: trained on)\n"
        in videomm("evaluate", out, table).out
    )
    # Other tasks go on as without it.
    plain, own = (
        videomm("classify", clip, "--labels", "red,green", "--model", name, "--json").rows[0]
        for name in ("tiny", out)
    )
    assert plain["labels"] == own["labels"]


@pytest.mark.slow
def test_train_with_what_is_said(videomm, tmp_path):
    # The pictures are of one kind: only the words tell.
    words, clips = {"red": "a rose", "blue": "the sea"}, tmp_path / "clips"
    for place, label in enumerate(words):
        for number in range(8):
            path = write_colour(clips / label / f"{number}.mp4", (90, 90, 90), 10 * place + number)
            said = f"1\n00:00:00,100 --> 00:00:00,300\n{words[label]}\n"
            path.with_suffix(".srt").write_text(said)
    out = tmp_path / "heard"
    (row,) = videomm("train", clips, "--out", out, "--fusion", "late", "--json").rows
    assert "something is said in 16 of 16 clips" in row["warnings"]
    assert row["figures"]["top1"]["value"] == 1
    new = write_colour(tmp_path / "new.mp4", (90, 90, 90), 99)
    new.with_suffix(".srt").write_text("1\n00:00:00,100 --> 00:00:00,300\na rose\n")
    (said,) = videomm("classify", new, "--model", out, "--json").rows  # auto by itself
    assert said["labels"][0]["label"] == "red"
    assert "1 text from new.srt, fusion late" in said["warnings"][-1]
    (unheard,) = videomm("classify", new, "--model", out, "--subtitles", "none", "--json").rows
    assert unheard["warnings"] == []
    (figures,) = videomm("evaluate", out, clips, "--json").rows
    assert figures["figures"]["top1"]["value"] == 1
    done = videomm("classify", new, "--model", out, "--fusion", "early")
    assert done.code == 2
    assert "was trained with fusion 'late', got 'early'" in done.err
    done = videomm("train", clips, "--out", tmp_path / "m", "--fusion", "early", "--tune", "head")
    assert (done.code, "take tune='temporal'" in done.err) == (2, True)
    done = videomm(
        "train", clips, "--out", tmp_path / "m", "--fusion", "late", "--subtitles", "none"
    )
    assert (done.code, "needs speech, and none is asked for" in done.err) == (2, True)


def test_wrong_usage_says_so_before_any_work(videomm, clips, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    for args, message in [
        ((clips, "--out", tmp_path / "mine"), "exists and is not empty"),
        ((clips, "--out", tmp_path / "mine", "--force"), "holds 'thesis.tex'"),
        (
            (clips, "--out", tmp_path / "m", "--tune", "x"),
            "tune must be one of head, temporal, all",
        ),
        ((clips, "--out", tmp_path / "m", "--epochs", 0), "epochs must be at least 1"),
        (
            (clips, "--out", tmp_path / "m", "--task", "x"),
            "task must be one of clips, segments, imp",
        ),
        ((clips, "--out", tmp_path / "m", "--task", "segments"), "is no .csv or .jsonl file"),
        ((clips, "--out", tmp_path / "m", "--task", "importance"), "or TVSum's .tsv"),
        ((tmp_path / "gone", "--out", tmp_path / "m"), "is not there; data are a folder"),
        ((clips, "--out", tmp_path / "m", "--model", "x"), "unknown model 'x'"),
    ]:
        done = videomm("train", *args)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1
    assert not (tmp_path / "m").exists()
    assert "--labels 'a,b,c'" in videomm("classify", "x.mp4", "--model", "tiny").err


@pytest.mark.slow
@pytest.mark.parametrize("task", ["clips", "segments", "importance"])
def test_killed_at_random_moments_and_resumed_ends_the_same(task, clips, tmp_path):
    whole, cut = tmp_path / "whole" / "m", tmp_path / "cut" / "m"
    write = {"segments": write_segments, "importance": write_ratings}
    data = clips if task == "clips" else write[task](tmp_path / "videos", 5)
    code = int(task == "clips")  # one file is broken

    def start(out):
        call = [sys.executable, "-m", "videomm.cli.main", "train", str(data), "--out", str(out)]
        env = os.environ | {"VIDEOMM_CACHE": str(out.parent / "cache")}
        call += ["--task", task, "--epochs", "15", "--resume", "--device", "cpu"]
        return subprocess.Popen(call, env=env, stdout=subprocess.DEVNULL)

    begun = time.monotonic()
    assert start(whole).wait() == code
    seconds = time.monotonic() - begun
    dice = random.Random(7)
    kills = [dice.uniform(0.2, 1.0) * seconds for _ in range(10)]
    for after in kills:
        run = start(cut)
        try:
            run.wait(after)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
    assert start(cut).wait() == code
    for path in whole.iterdir():
        assert path.read_bytes() == (cut / path.name).read_bytes(), (path.name, kills)
    assert sorted(p.name for p in cut.iterdir()) == sorted(p.name for p in whole.iterdir())
