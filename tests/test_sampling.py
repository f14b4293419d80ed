import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.config import SamplingConfig
from videomm.errors import InvalidInputError
from videomm.sampling import plan_sampling, uniform_times

durations = st.floats(0, 1e6, allow_nan=False)


def test_default_looks_every_half_second():
    plan = plan_sampling(5.0)
    assert plan.mode == "fps"
    assert plan.times == tuple(i / 2 for i in range(10))


def test_short_video_gets_the_minimum_spread_evenly():
    assert plan_sampling(1.6).times == pytest.approx([0.1 + 0.2 * i for i in range(8)])


def test_long_video_is_thinned_evenly_to_the_maximum():
    times = plan_sampling(3600.0).times
    assert len(times) == 512
    steps = [b - a for a, b in itertools.pairwise(times)]
    assert steps == pytest.approx([3600 / 512] * 511)
    assert times[0] == pytest.approx(3600 / 1024)


def test_end_is_not_sampled_for_a_rounding_error():
    # 0.1 * 3 is a little more than 0.3: no fourth time at the very end.
    config = SamplingConfig(fps=10, min_frames=1)
    assert len(plan_sampling(0.1 * 3, config)) == 3


def test_zero_duration_looks_at_time_zero():
    assert set(plan_sampling(0.0).times) == {0.0}


def test_uniform_and_given_times():
    assert plan_sampling(10, SamplingConfig(num_frames=2)).times == (2.5, 7.5)
    plan = plan_sampling(10, SamplingConfig(times=(9.0, 1.0, 1.0)))
    assert plan.times == (1.0, 1.0, 9.0)
    assert plan.mode == "times"


@given(durations, st.floats(0.01, 60), st.integers(1, 64), st.integers(0, 600))
def test_every_plan_is_ascending_inside_and_within_the_limits(duration, fps, least, more):
    config = SamplingConfig(fps=fps, min_frames=least, max_frames=least + more)
    times = plan_sampling(duration, config).times
    assert least <= len(times) <= least + more
    assert all(b >= a for a, b in itertools.pairwise(times))
    assert times[0] >= 0
    assert times[-1] <= duration


@given(durations, st.integers(1, 200))
def test_plan_settings_repeat_the_plan(duration, count):
    for config in (SamplingConfig(num_frames=count), SamplingConfig(max_frames=count + 8)):
        plan = plan_sampling(duration, config)
        again = plan_sampling(duration, SamplingConfig.from_dict(plan.settings))
        assert again == plan


def test_uniform_times_are_the_middles():
    assert uniform_times(4.0, 4) == (0.5, 1.5, 2.5, 3.5)


@pytest.mark.parametrize("duration", [-1.0, math.nan, math.inf])
def test_bad_duration(duration):
    with pytest.raises(InvalidInputError, match="duration must be finite seconds >= 0, got"):
        plan_sampling(duration)
