"""A video in short: scenes, the stretches worth watching, keyframes, and sentences with times."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from PIL import Image

from videomm.config import SummarizeConfig
from videomm.errors import InvalidInputError
from videomm.models.describer import Describer
from videomm.models.video_model import VideoModel
from videomm.tasks.captions import caption_part
from videomm.tasks.concepts import EmbeddedBank, describe, get_bank
from videomm.tasks.presence import PhraseScorer, View
from videomm.tasks.scenes import frame_weights
from videomm.types import Array, Keyframe, Segment, Summary, Timeline, clock

LEAST_KEYFRAMES, MAX_KEYFRAMES = 3, 9
# Frames with at least this cosine show the same thing.
NEAR_EQUAL = 0.85
# The sentence of a stretch of which nothing reaches its threshold.
UNSAID = "Nothing recognised with confidence."

# Grey levels of deviation under which a picture is a flat one, as in a fade to black.
_FLAT_DEVIATION = 8.0
# Shorter pieces are no use in a reel.
_LEAST_STRETCH = 0.5


def summarize_timeline(
    timeline: Timeline,
    model: VideoModel,
    config: SummarizeConfig | None = None,
    bank: EmbeddedBank | None = None,
    describer: Describer | None = None,
) -> Summary:
    """Sum up a video from its timeline alone.

    Args:
        timeline: made by the model's encoder.
        model: its encoder puts scenes into words; where it was trained on people's ratings, it
            rates the frames as well.
        config: 15 % of the video, at most 60 s, unless told otherwise.
        bank: the concepts, embedded already; read and embedded here unless given.
        describer: writes the sentences; the bank's words stand where it is not sure, or is None.

    Returns:
        A summary without files.

    Raises:
        InvalidInputError: another encoder made the timeline, or the bank cannot be read.
    """
    config = config or SummarizeConfig()
    _check_encoder(timeline, model)
    bank = bank or get_bank(model.encoder, config.bank)
    view = View(timeline, PhraseScorer(model, bank, describer))
    ranges = view.scenes
    importance = rate_importance(timeline, ranges, model)
    texts = _scene_texts(view)
    scenes = [
        Segment(
            float(timeline.bounds[first]),
            float(timeline.bounds[last]),
            float(importance[first:last].mean()),
            text=text,
        )
        for (first, last), text in zip(ranges, texts, strict=True)
    ]
    overall = _overall(view, texts)
    warnings = timeline.warnings
    if bank.calibration is None:
        warnings += (
            f"the words are not calibrated for {model.name}: each scene gets the best ranks of "
            "the bank, right or not",
        )
    if model.importance is not None:
        warnings += (f"what is worth watching is rated as {model.name} was trained to",)
    return Summary(
        path=timeline.path,
        model=model.name,
        decoder=timeline.decoder,
        complete=timeline.complete,
        warnings=warnings,
        text=_story(scenes, timeline.duration, overall),
        keyframes=_keyframes(timeline, ranges, importance, texts, config.keyframes),
        segments=_segments(timeline, ranges, importance, texts, config.budget(timeline.duration)),
        files={},
        scenes=tuple(scenes),
        sampling=timeline.plan,
        duration=timeline.duration,
        method="bank" if describer is None else "decoder",
        overall=overall,
    )


def _check_encoder(timeline: Timeline, model: VideoModel) -> None:
    encoder = model.encoder
    if timeline.encoder != encoder.id:
        raise InvalidInputError(
            f"the timeline was made by {timeline.encoder}, this model reads {encoder.id}; embed "
            f"the video again with --model {encoder.name}"
        )


def frame_importance(timeline: Timeline, scenes: list[tuple[int, int]]) -> Array:
    """How much each frame says about the video: float64 (N,) in [0, 1].

    The mean of two measures, each scaled to [0, 1] over the video. Representativeness: the mean
    cosine with the whole video and with the frame's own scene. Novelty: how far the frame is from
    everything in earlier scenes (for the first scene: in the other ones). Flat frames, as in a
    fade, have none.
    """
    weights = frame_weights(timeline)
    kernel = np.asarray(timeline.embeddings @ timeline.embeddings.T, np.float64)
    representative = kernel @ weights / weights.sum()
    novelty = np.zeros(len(timeline))
    for first, last in scenes:
        own = weights[first:last]
        representative[first:last] += kernel[first:last, first:last] @ own / own.sum()
        others = kernel[first:last, :first] if first else kernel[first:last, last:]
        if others.size:
            novelty[first:last] = 1 - others.max(axis=1)
    importance = (_scale(representative) + _scale(novelty)) / 2
    content = _has_content(timeline)
    return np.asarray(importance * content if content.any() else importance)


def rate_importance(
    timeline: Timeline, scenes: list[tuple[int, int]], model: VideoModel | None = None
) -> Array:
    """Importance of each frame, as a model was trained to rate it: float64 (N,) in [0, 1].

    Ratings are scaled to [0, 1] over the video; flat frames have none. A model that was not
    trained on ratings, or none, gives `frame_importance`.
    """
    if model is None or model.importance is None:
        return frame_importance(timeline, scenes)
    content = _has_content(timeline)
    rated = _scale(model.rate_frames(timeline, untrained_importance(timeline, scenes)))
    return np.asarray(rated * content if content.any() else rated)


def untrained_importance(timeline: Timeline, scenes: list[tuple[int, int]]) -> Array:
    """`frame_importance` without a look at the pictures: what training begins with."""
    return frame_importance(replace(timeline, thumbnails=()), scenes)


def similarity_to_previous(timeline: Timeline) -> Array:
    """Cosine of each frame with the one before it: float64 (N,), 1 for the first."""
    x = timeline.embeddings
    return np.append(1.0, np.einsum("nd,nd->n", x[1:], x[:-1]).astype(np.float64))


def _scale(values: Array) -> Array:
    """To [0, 1] by least and most; all the same gives 0.5."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-6:
        return np.full(len(values), 0.5)
    return np.asarray((values - low) / (high - low))


def _has_content(timeline: Timeline) -> Array:
    """bool (N,): False for flat frames; all True where the timeline has no thumbnails."""
    deviations = []
    for data in timeline.thumbnails:
        with Image.open(io.BytesIO(data)) as picture:
            picture.draft("L", (32, 32))
            deviations.append(float(np.asarray(picture.convert("L")).std()))
    return np.array(deviations) >= _FLAT_DEVIATION if deviations else np.ones(len(timeline), bool)


def knapsack(values: list[float], sizes: list[int], capacity: int) -> list[int]:
    """The exact 0/1 knapsack: which items give the most value within the capacity.

    Dynamic programming over items and capacities (Bellman 1957), one vectorised step an item.

    Args:
        values: of each item, at least 0.
        sizes: of each item, whole numbers.
        capacity: whole number.

    Returns:
        Indices of the chosen items, ascending.
    """
    best = np.zeros(capacity + 1)
    taken = np.zeros((len(values), capacity + 1), dtype=bool)
    for item, (value, size) in enumerate(zip(values, sizes, strict=True)):
        if size > capacity:
            continue
        with_item = best[: capacity + 1 - size] + value
        taken[item, size:] = with_item > best[size:]
        best[size:] = np.maximum(best[size:], with_item)
    chosen, left = [], capacity
    for item in reversed(range(len(values))):
        if taken[item, left]:
            chosen.append(item)
            left -= sizes[item]
    return chosen[::-1]


@dataclass(frozen=True)
class _Stretch:
    """A piece of a scene that could be chosen, and what it is worth."""

    start: float
    end: float
    scene: int
    value: float


class _Gains:
    """How much importance lies between two times: its integral."""

    def __init__(self, timeline: Timeline, importance: Array) -> None:
        self.bounds = timeline.bounds
        # A little for every second, so that something is chosen where nothing is important.
        self._sums = np.append(0.0, np.cumsum((importance + 0.01) * np.diff(self.bounds)))

    def between(self, start: Array | float, end: Array | float) -> Array:
        upto = np.interp([start, end], self.bounds, self._sums)
        return np.asarray(upto[1] - upto[0])

    def best_window(self, low: float, high: float, length: float) -> tuple[float, float]:
        """The stretch of that length within `[low, high]` that gains most; begins at a frame."""
        if high - low <= length:
            return low, high
        inside = self.bounds[(self.bounds >= low) & (self.bounds <= high - length)]
        starts = np.unique(np.concatenate((inside, [low])))
        start = float(starts[int(self.between(starts, starts + length).argmax())])
        return start, start + length


def _stretches(low: float, high: float, scene: int, length: float, gains: _Gains) -> list[_Stretch]:
    """A scene in pieces of at most `length` seconds, the best first.

    Each next piece of the same scene is worth a smaller share, so that a summary rather shows
    several scenes than all of one.
    """
    out: list[_Stretch] = []
    open_gaps = [(low, high)]
    while open_gaps:
        windows = [gains.best_window(a, b, length) for a, b in open_gaps]
        place = int(np.argmax([gains.between(*window) for window in windows]))
        (a, b), (start, end) = open_gaps.pop(place), windows[place]
        value = float(gains.between(start, end)) / (len(out) + 1)
        out.append(_Stretch(start, end, scene, value))
        gaps = [(a, start), (end, b)]
        open_gaps += [gap for gap in gaps if gap[1] - gap[0] >= min(_LEAST_STRETCH, length)]
    return out


def _segments(
    timeline: Timeline,
    scenes: list[tuple[int, int]],
    importance: Array,
    texts: list[str],
    budget: float,
) -> tuple[Segment, ...]:
    """The stretches worth watching: at most `budget` seconds, in order of time, never none.

    A summary of B seconds is made of about sqrt(B) pieces of sqrt(B) seconds, so that a short one
    still shows several scenes and a long one does not flicker.
    """
    gains = _Gains(timeline, importance)
    bounds = timeline.bounds
    if budget >= timeline.duration - 1e-3:
        chosen = [
            _Stretch(float(bounds[a]), float(bounds[b]), place, 0.0)
            for place, (a, b) in enumerate(scenes)
        ]
    else:
        unit = max(1e-3, budget / 50_000)
        length = math.floor(budget / math.ceil(math.sqrt(budget)) / unit) * unit
        length = length if length > 0 else budget
        pieces = []
        for place, (first, last) in enumerate(scenes):
            # The cut lies somewhere between two sampled frames: stay on the safe side of it.
            safe = last - 1 if last < len(timeline) and last - first > 2 else last
            ends = float(bounds[first]), float(bounds[safe])
            pieces += _stretches(*ends, place, length, gains)
        sizes = [math.ceil((piece.end - piece.start) / unit - 1e-6) for piece in pieces]
        taken = knapsack([p.value for p in pieces], sizes, math.floor(budget / unit + 1e-6))
        chosen = sorted((pieces[i] for i in taken), key=lambda piece: piece.start)
        if not chosen:
            best = max(pieces, key=lambda piece: piece.value)
            chosen = [_Stretch(best.start, min(best.end, best.start + budget), best.scene, 0.0)]
    out = []
    for run in _touching(chosen):
        start, end = run[0].start, run[-1].end
        score = float(gains.between(start, end)) / max(end - start, 1e-9) - 0.01
        out.append(Segment(start, end, min(max(score, 0.0), 1.0), text=texts[run[0].scene]))
    return tuple(out)


def _touching(pieces: list[_Stretch]) -> list[list[_Stretch]]:
    """Runs of pieces of one scene that follow each other without a gap."""
    runs: list[list[_Stretch]] = []
    for piece in pieces:
        last = runs[-1][-1] if runs else None
        if last and last.scene == piece.scene and piece.start - last.end < 1e-6:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs


def _keyframes(
    timeline: Timeline,
    scenes: list[tuple[int, int]],
    importance: Array,
    texts: list[str],
    most: int | None,
) -> tuple[Keyframe, ...]:
    """Important frames that differ: each next one weighs how far it is from those chosen.

    Where the caller leaves the number open and there are scenes enough, no scene comes twice.
    """
    once = most is None and len(scenes) >= LEAST_KEYFRAMES
    most = most or min(max(len(scenes), LEAST_KEYFRAMES), MAX_KEYFRAMES)
    owner = np.repeat(np.arange(len(scenes)), [last - first for first, last in scenes])
    nearest = np.full(len(timeline), -1.0)
    # Flat frames and equal ones only if there is nothing else.
    worth = importance + 1e-3 * (importance > 0)
    chosen: list[int] = []
    while len(chosen) < most:
        gain = np.where(nearest < NEAR_EQUAL, worth * (1 - np.maximum(nearest, 0.0)), -1.0)
        best = int(gain.argmax())
        if chosen and gain[best] <= 0:
            break
        chosen.append(best)
        nearest = np.maximum(nearest, timeline.embeddings @ timeline.embeddings[best])
        if once:
            worth = np.where(owner == owner[best], 0.0, worth)
    return tuple(
        Keyframe(float(timeline.times[i]), texts[owner[i]], float(importance[i]))
        for i in sorted(chosen)
    )


def _scene_texts(view: View) -> list[str]:
    """A sentence a scene: the decoder's, or the bank's words for the mean of its frames.

    A flat picture has nothing to tell.
    """
    timeline, scenes = view.timeline, view.scenes
    content = _has_content(timeline)
    weights = (frame_weights(timeline) * content)[:, None]
    means = [(timeline.embeddings[a:b] * weights[a:b]).mean(axis=0) for a, b in scenes]
    pictures = np.stack(means)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True) + 1e-8
    texts = []
    for (first, last), concepts in zip(scenes, view.scorer.bank.say(pictures), strict=True):
        scene = view.limited_to(first, last)
        scene.part &= content
        told = caption_part(scene) if scene.part.any() else None
        words = describe(concepts) if scene.part.any() else ""
        texts.append(told[0] if told else words or UNSAID)
    return texts


def _overall(view: View, texts: list[str]) -> str:
    """Of the scenes' sentences the one that is nearest to the whole; empty for two or fewer."""
    said = list(dict.fromkeys(text for text in texts if text != UNSAID))
    if len(said) < 3:
        return ""
    vectors = view.scorer.vectors([text.rstrip(".") for text in said])
    return said[int(view.centred(view.part, vectors).argmax())]


def _story(scenes: list[Segment], duration: float, overall: str) -> str:
    """The whole in a line, and what is to be seen when; equal neighbours are told once."""
    count = "1 scene" if len(scenes) == 1 else f"{len(scenes)} scenes"
    sentences = [f"{clock(duration)} in {count}."]
    if overall:
        sentences.append(f"Overall: {overall}")
    for text, run in groupby(scenes, key=lambda scene: scene.text):
        same = list(run)
        sentences.append(f"From {clock(same[0].start)} to {clock(same[-1].end)}: {text}")
    return " ".join(sentences)
