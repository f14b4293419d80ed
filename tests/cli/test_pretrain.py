import pytest

from tests.picture_pairs import write_pairs


@pytest.fixture
def config(tmp_path):
    data = write_pairs(tmp_path / "pictures", 12)
    (data.parent / "bad.jpg").write_text("no picture")
    with data.open("a") as file:
        file.write('{"path": "bad.jpg", "text": "x"}\n')
    file = tmp_path / "run.toml"
    file.write_text(
        'data = "pictures/pairs.jsonl"\nout = "m"\n[train]\nsteps = 2\nbatch_size = 4\n'
        "crop_size = 64\n"
    )
    return file


@pytest.mark.slow
def test_pretrain_and_classify(videomm, config):
    out = config.parent / "m"
    done = videomm("pretrain", config)
    assert done.code == 1  # one picture is missing
    assert f"{out}: 11 pictures with 22 texts to train, 1 with 2 to validate" in done.out
    for word in ("this model", "start", "gain", "image to text, R@1", "text to image, R@10"):
        assert word in done.out
    assert "! skipped: " in done.out
    again = videomm("pretrain", config, "--resume", "--json")
    assert again.rows[0]["model"] == str(out)
    picture = config.parent.parent / "clip.mp4"
    from tests.labelled_clips import COLOURS, write_colour

    write_colour(picture, COLOURS["green"], 999)
    (row,) = videomm("classify", picture, "--model", out, "--labels", "red,green", "--json").rows
    assert row["model"] == str(out)


def test_wrong_usage_says_so_before_any_work(videomm, config):
    for line, message in [
        ("steps = 0", "steps must be at least 1"),
        ("stepz = 1", "unknown key 'stepz'"),
        ('[image]\nstart = "x"', "unknown model 'x'"),
    ]:
        wrong = config.parent / "wrong.toml"
        data = "\n[train]\n" if "step" in line else "\n"
        wrong.write_text(f'data = "pictures/pairs.jsonl"\nout = "w"{data}{line}\n')
        done = videomm("pretrain", wrong)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1
    assert not (config.parent / "w").exists()
    done = videomm("pretrain", config, "--resume", "--force")
    assert "give resume or force, not both" in done.err
    assert "gone.toml' cannot be read" in videomm("pretrain", config.parent / "gone.toml").err
