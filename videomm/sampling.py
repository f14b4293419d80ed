"""Which times of a video to look at: pure functions of a duration and a config."""

from __future__ import annotations

import math

from videomm.config import SamplingConfig
from videomm.errors import InvalidInputError
from videomm.types import SamplingPlan


def plan_sampling(duration: float, config: SamplingConfig | None = None) -> SamplingPlan:
    """Choose the times to look at.

    By default every 1/fps seconds from 0. Where that gives fewer than `min_frames` or more than
    `max_frames` times, that many are spread evenly instead, each in the middle of its share of
    the duration, as `num_frames` does (Wang et al. 2016, Temporal Segment Networks, section 3.1).

    Args:
        duration: seconds, >= 0.
        config: how to sample; the default looks at 2 frames a second.

    Returns:
        A plan whose times are ascending and, unless given, below the duration.

    Raises:
        InvalidInputError: the duration is negative or not finite.
    """
    config = config or SamplingConfig()
    if not math.isfinite(duration) or duration < 0:
        raise InvalidInputError(f"duration must be finite seconds >= 0, got {duration!r}")
    if config.times is not None:
        times = tuple(sorted(config.times))
        return SamplingPlan("times", times, {"times": list(times)})
    if config.num_frames is not None:
        uniform = uniform_times(duration, config.num_frames)
        return SamplingPlan("uniform", uniform, {"num_frames": config.num_frames})
    count = max(1, math.ceil(duration * config.fps - 1e-9))
    clamped = min(max(count, config.min_frames), config.max_frames)
    if clamped == count:
        spaced = tuple(i / config.fps for i in range(count))
    else:
        spaced = uniform_times(duration, clamped)
    settings = {
        "fps": config.fps,
        "min_frames": config.min_frames,
        "max_frames": config.max_frames,
    }
    return SamplingPlan("fps", spaced, settings)


def uniform_times(duration: float, count: int) -> tuple[float, ...]:
    """The middles of `count` equal parts of `duration` seconds."""
    return tuple((i + 0.5) * duration / count for i in range(count))
