"""Labelled clips as timelines: each video is decoded once, then read from the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videomm.cache import digest_file
from videomm.config import SamplingConfig
from videomm.errors import InvalidInputError, VideommError
from videomm.pipeline import VideoPipeline
from videomm.progress import progress_bar
from videomm.sampling import plan_sampling
from videomm.training.labelled import Example
from videomm.types import Speech, Timeline
from videomm.video.reader import open_video


@dataclass(frozen=True, eq=False)
class Clip:
    """A labelled clip that could be read.

    Attributes:
        example: what the data say of it.
        timeline: of the clip's part of the video, without pictures.
        content: a digest of the file; copies have the same.
        pictures: JPEG files of some of its frames, in order, where they were asked for.
    """

    example: Example
    timeline: Timeline
    content: str
    pictures: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A clip that could not be read, and why."""

    clip: str
    kind: str
    message: str


def read_clips(
    pipeline: VideoPipeline, examples: Sequence[Example], pictures: int = 0
) -> tuple[list[Clip], list[Skipped]]:
    """Embed every clip that can be read, with a progress bar and the time that is left.

    Args:
        pipeline: embeds them, with its cache.
        examples: one a clip.
        pictures: how many of each clip's are kept at most, evenly spread; they take memory.

    Returns:
        Clips in the order of the examples, and those that cannot be read.

    Raises:
        InvalidInputError: not one clip can be read, or one subtitle file is given for all.
    """
    if pipeline.speech is not None:
        pipeline.speech.check_number(len(examples))
    clips: list[Clip] = []
    skipped: list[Skipped] = []
    with progress_bar("timelines", len(examples), enabled=pipeline.progress) as advance:
        for example in examples:
            try:
                timeline = embed_part(pipeline, example)
                shown = timeline.thumbnails
                step = max(1, math.ceil(len(shown) / pictures)) if pictures else 1
                kept = shown[step // 2 :: step] if pictures else ()
                digest = pipeline.cache.content_digest if pipeline.cache else digest_file
                # Pictures are most of a timeline's memory.
                timeline = replace(timeline, thumbnails=())
                clips.append(Clip(example, timeline, digest(Path(example.path)), kept))
            except VideommError as error:
                skipped.append(Skipped(example.part, error.kind, str(error)))
            advance(1)
    if not clips:
        raise InvalidInputError(
            f"none of {len(examples)} clips can be read; the first: {skipped[0].message}"
        )
    return clips, skipped


def embed_part(pipeline: VideoPipeline, example: Example) -> Timeline:
    """The timeline of a clip: its part alone, sampled as a video of that length would be.

    Raises:
        VideoError: the kind says what is wrong with the file.
        InvalidInputError: the part starts after the video's end.
    """
    sampling = pipeline.sampling
    start = example.start or 0.0
    if example.start is not None or example.end is not None:
        end = example.end
        if end is None:
            end = open_video(example.path, pipeline.decoding).info.duration
        plan = plan_sampling(max(end - start, 0.0), sampling)
        sampling = SamplingConfig(times=tuple(start + seconds for seconds in plan.times))
    quiet = VideoPipeline(
        pipeline.model,
        sampling,
        pipeline.decoding,
        cache=pipeline.cache,
        progress=False,
        speech=pipeline.speech,
    )
    timeline = quiet.embed(example.path)
    if timeline.duration <= start:
        raise InvalidInputError(
            f"{example.part} starts after the end of the video, which lasts "
            f"{timeline.duration:.1f} s; correct start"
        )
    return replace(timeline, speech=_within(timeline.speech, start, example.end))


def _within(speech: Speech | None, start: float, end: float | None) -> Speech | None:
    """What is said in a part of a video."""
    if speech is None:
        return None
    last = math.inf if end is None else end
    kept = [i for i, item in enumerate(speech.subtitles) if item.start < last and item.end > start]
    texts = tuple(speech.subtitles[place] for place in kept)
    return replace(speech, subtitles=texts, embeddings=speech.embeddings[kept]) if kept else None
