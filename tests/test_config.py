import pytest

from videomm.config import DecodingConfig, SamplingConfig, SummarizeConfig
from videomm.errors import InvalidInputError


def test_unknown_key_is_named_with_the_allowed_ones():
    with pytest.raises(InvalidInputError, match=r"unknown key 'fsp'; allowed: fps, min_frames"):
        SamplingConfig.from_dict({"fsp": 2})


def test_round_trip():
    config = SamplingConfig(fps=3, max_frames=9, min_frames=2)
    assert SamplingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fps": 0}, "fps must be a number above 0, got 0"),
        ({"fps": float("nan")}, "fps must be a number above 0, got nan"),
        ({"min_frames": 9, "max_frames": 8}, "min_frames=9, max_frames=8"),
        ({"num_frames": 0}, "num_frames must be at least 1, got 0"),
        ({"num_frames": 2, "times": (1.0,)}, "num_frames or times, not both"),
        ({"times": ()}, "times must be one or more finite seconds"),
        ({"times": (-1.0,)}, "times must be one or more finite seconds"),
    ],
)
def test_bad_sampling(values, message):
    with pytest.raises(InvalidInputError, match=message):
        SamplingConfig(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decoder": "ffmpeg"}, "decoder must be one of auto, decord, pyav, got 'ffmpeg'"),
        ({"timeout_seconds": 0}, "timeout_seconds must be above 0"),
        ({"timeout_per_second": -1}, "timeout_per_second must be at least 0"),
    ],
)
def test_bad_decoding(values, message):
    with pytest.raises(InvalidInputError, match=message):
        DecodingConfig(**values)


def test_default_length_is_15_percent_and_at_most_a_minute():
    assert SummarizeConfig().budget(100) == pytest.approx(15)
    assert SummarizeConfig().budget(3600) == 60
    assert SummarizeConfig(ratio=0.5).budget(3600) == 1800
    assert SummarizeConfig(seconds=90).budget(60) == 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": 0}, "seconds must be a number above 0"),
        ({"seconds": float("nan")}, "seconds must be a number above 0"),
        ({"ratio": 1.5}, "ratio must be above 0 and at most 1"),
        ({"ratio": 0.0}, "ratio must be above 0 and at most 1"),
        ({"seconds": 3, "ratio": 0.5}, "give seconds or ratio, not both"),
        ({"keyframes": 0}, "keyframes must be at least 1"),
    ],
)
def test_wrong_summary_settings_are_named(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        SummarizeConfig(**settings)
