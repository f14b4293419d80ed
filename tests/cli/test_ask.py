import json
import shutil

import pytest

from videomm.cli import ask
from videomm.cli.demo import CLIP


def test_json_has_the_documented_shape(videomm):
    done = videomm("ask", CLIP, "When does the cat appear?", "--json")
    assert (done.code, done.err) == (0, "")
    (row,) = done.rows
    assert {"path", "question", "answer", "score", "evidence", "alternatives", "model"} <= set(row)
    assert {"decoder", "complete", "warnings", "method"} <= set(row)
    assert (row["path"], row["question"]) == (str(CLIP), "When does the cat appear?")
    assert row["method"] == "when"
    assert set(row["evidence"][0]) == {"start", "end", "score"}


def test_the_cat_of_the_demo_clip_is_found_where_it_is(videomm):
    (row,) = videomm("ask", CLIP, "when does the cat appear?", "--json").rows
    # The clip shows the cat from 6.0 to 8.6 s and from 16.2 s to its end.
    spans = sorted((item["start"], item["end"]) for item in row["evidence"])
    assert spans[0] == pytest.approx((6.0, 8.6), abs=0.5)
    assert spans[-1] == pytest.approx((16.2, 18.2), abs=0.5)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("is there a cup of coffee?", "yes"),
        ("is there a horse?", "no"),
        ("is there a football match?", "no"),
        ("when does the horse run?", None),
        ("what animal is it?", "a cat"),
        ("how long is the video?", "18.2 s"),
    ],
)
def test_answers_about_the_demo_clip(videomm, question, answer):
    (row,) = videomm("ask", CLIP, question, "--json").rows
    assert row["answer"] == answer


def test_choices(videomm):
    asked = ("what animal is shown?", "--choices", "a cat, a dog, a horse")
    (row,) = videomm("ask", CLIP, *asked, "--json").rows
    assert (row["answer"], row["method"]) == ("a cat", "choices")
    assert {item["answer"] for item in row["alternatives"]} == {"a dog", "a horse"}


def test_text_for_people_is_plain_when_piped(videomm):
    done = videomm("ask", CLIP, "is there a cat?")
    assert done.code == 0
    assert f"{CLIP}  (0:18.2, tiny, " in done.out
    assert "is there a cat?" in done.out
    assert "yes" in done.out
    assert "0:06.0 - " in done.out
    assert "\x1b" not in done.out
    assert "not found" in videomm("ask", CLIP, "when does the horse run?").out


def test_many_questions_from_a_file_in_one_decode(videomm, tmp_path, monkeypatch):
    file = tmp_path / "questions.jsonl"
    lines = ["Is there a cat?", "", '{"question": "what is it?", "choices": ["a cat", "a car"]}']
    file.write_text("\n".join(lines))
    from videomm import pipeline

    built = []
    build = pipeline.build_timeline
    monkeypatch.setattr(
        pipeline,
        "build_timeline",
        lambda *args, **kwargs: built.append(1) or build(*args, **kwargs),
    )
    done = videomm("ask", CLIP, "--questions", file, "--json", "--no-cache")
    assert [row["question"] for row in done.rows] == ["Is there a cat?", "what is it?"]
    assert [row["answer"] for row in done.rows] == ["yes", "a cat"]
    assert len(built) == 1


def test_bad_files_cost_their_row_and_exit_code_1(videomm, tmp_path):
    shutil.copy(CLIP, tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("not a video at all\n" * 20)
    done = videomm("ask", tmp_path, "is there a cat?", "--json")
    assert done.code == 1
    assert [row.get("error", {}).get("kind") for row in done.rows] == [None, "NotAVideoError"]
    listed = f"{tmp_path / 'a.mp4'}\n/gone.mp4\n".encode()
    done = videomm("ask", "-", "is there a cat?", "--json", stdin=listed)
    assert [row["path"] for row in done.rows] == [str(tmp_path / "a.mp4"), "/gone.mp4"]
    assert done.rows[1]["error"]["kind"] == "VideoNotFoundError"


def test_frames_of_the_evidence_are_written(videomm, tmp_path):
    out = tmp_path / "answers"
    done = videomm("ask", CLIP, "when does the cat appear?", "--out", out)
    assert (done.code, f"evidence: {out}" in done.out) == (0, True)
    (row,) = json.loads((out / "answers.json").read_text())
    names = {item["file"] for item in row["evidence"]}
    assert names == {path.name for path in out.glob("*.jpg")}
    again = videomm("ask", CLIP, "is there a cat?", "--out", out)
    assert again.code == 2
    assert "give --force" in again.err
    assert videomm("ask", CLIP, "is there a cat?", "--out", out, "--force").code == 0
    (row,) = json.loads((out / "answers.json").read_text())
    assert row["question"] == "is there a cat?"


def test_several_videos_have_a_folder_each(videomm, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(CLIP, tmp_path / name)
    assert videomm("ask", tmp_path, "is there a cat?", "--out", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), 'give one "QUESTION" or --questions FILE'),
        (("is it?", "--questions", "f"), 'give one "QUESTION" or --questions FILE'),
        (("--questions", "/gone"), "No such file"),
        (("--questions", "/gone", "--choices", "a,b"), "--choices goes with one QUESTION"),
        (("???",), "a question must have words"),
        (("what?", "--choices", "a"), "choices must be two or more different texts"),
        (("what?", "--fps", "0"), "fps must be a number above 0"),
        (("what?", "--model", "x"), "unknown model 'x'"),
        (("what?", "--answerer", "/gone"), "the answerer '/gone' cannot be loaded"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_one_message(videomm, args, message):
    done = videomm("ask", CLIP, *args)
    assert done.code == 2
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no questions in it"),
        ('{"question": 1}', "line 1: expected"),
        ('is it?\n{"question": "a", "choices": "b"}', "line 2: expected"),
        ("{oops", "line 1: no JSON object"),
    ],
)
def test_files_that_are_not_understood(videomm, tmp_path, content, message):
    file = tmp_path / "q.jsonl"
    file.write_text(content)
    done = videomm("ask", CLIP, "--questions", file)
    assert done.code == 2
    assert message in " ".join(done.err.split())


def test_questions_file_of_either_form(tmp_path):
    file = tmp_path / "q"
    file.write_text('\ufeffis it a cat?\n  {"question": "what?", "choices": ["a", "b"]}  \n')
    assert ask.read_questions(None, None, str(file)) == [
        ("is it a cat?", ()),
        ("what?", ("a", "b")),
    ]
    assert ask.read_questions("what?", "a, b,", None) == [("what?", ("a", "b"))]
