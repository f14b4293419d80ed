import pytest

from videomm.errors import InvalidInputError
from videomm.training.pretrain_config import PretrainRunConfig, read_config

GOOD = {"data": "pairs.csv", "out": "m"}


def test_tables_are_read_and_paths_start_at_the_file(tmp_path):
    (tmp_path / "albert").mkdir()
    file = tmp_path / "run.toml"
    file.write_text(
        'data = "pairs.csv"\nout = "/abs/m"\nseed = 3\n[text]\nstart = "albert"\n'
        'weights = "random"\n[train]\nlr = 1\nsteps = 7\n'
    )
    config = read_config(file)
    assert (config.data, config.out, config.seed) == (str(tmp_path / "pairs.csv"), "/abs/m", 3)
    assert config.text.start == str(tmp_path / "albert")
    assert (config.image.start, config.train.steps, config.train.lr) == ("tiny", 7, 1)
    assert PretrainRunConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"out": "m"}, "data is missing"),
        ({**GOOD, "steps": 3}, "unknown key 'steps'"),
        ({**GOOD, "train": {"step": 3}}, r"\[train\]: unknown key 'step'; allowed: steps, "),
        (
            {**GOOD, "train": {"steps": "many"}},
            "of type int, such as 400, got 'many'",
        ),
        ({**GOOD, "train": {"steps": True}}, "steps must be of type int"),
        ({**GOOD, "train": {"steps": 0}}, "steps must be at least 1, got 0"),
        ({**GOOD, "train": {"lr": float("nan")}}, "lr must be a number from 0, got nan"),
        ({**GOOD, "train": {"batch_size": 1}}, "batch_size must be at least 2"),
        ({**GOOD, "train": 3}, r"train must be a table \[train\], got 3"),
        ({**GOOD, "seed": -1}, "seed must be from 0"),
        ({**GOOD, "data": 3}, "data must be a path, got 3"),
        ({**GOOD, "image": {"weights": "none"}}, r"\[image\] weights must be one of pretrained,"),
        ({**GOOD, "image": {"weights": "random", "frozen": True}}, "random weights, so it cannot"),
        ({**GOOD, "text": {"weights": "random"}}, "has the weights of .image. start"),
        ({**GOOD, "text": {"context_length": 4}}, "at least 8 tokens, got 4"),
    ],
)
def test_what_is_not_allowed_is_said(values, message):
    with pytest.raises(InvalidInputError, match=message):
        PretrainRunConfig.from_dict(values)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"gone\.toml' cannot be read"):
        read_config(tmp_path / "gone.toml")
    (tmp_path / "bad.toml").write_text("data = ")
    with pytest.raises(InvalidInputError, match=r"bad\.toml' is not TOML"):
        read_config(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text('data = "a"\nout = "b"\nfoo = 1')
    with pytest.raises(
        InvalidInputError, match=r"bad\.toml: outside of its tables: unknown key 'foo'"
    ):
        read_config(tmp_path / "bad.toml")
