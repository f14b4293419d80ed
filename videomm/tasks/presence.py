"""Whether a phrase holds in a video, and where.

Similarities of a small encoder cannot be compared between phrases or videos as they are: a longer
video has a better best frame for anything. So a phrase is measured against the bank of concepts on
the same frames: its best moment among the best moments of all the bank's entries, in standard
deviations from their mean. That needs no other pictures, works for every encoder, and the
threshold on it hardly moves with the length of a video.

For an encoder with a calibration the score becomes a probability by a logistic curve, which is one
half where the given share of absent things is refused (`benchmarks/answers.py --calibrate` makes
the file from captioned and labelled pictures). For others it is the rank within the bank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from videomm.models.describer import Describer
from videomm.models.video_model import VideoModel
from videomm.tasks.concepts import EmbeddedBank
from videomm.tasks.scenes import find_scenes
from videomm.timeline import open_thumbnail
from videomm.types import Array, Segment, Timeline

TEMPLATES = ("{}", "a photo of {}")
CALIBRATION_FILE = Path(__file__).parent.parent / "assets" / "answers_tiny.safetensors"
UNCALIBRATED = (
    "presence is judged by rank within the bank of concepts, since there is no calibration for "
    "the model {}; answers of `not found` are less sure"
)
SAID_TOO = "what is said was mixed in; probabilities were calibrated on pictures alone"
# Without a calibration a phrase is there when it beats this share of the bank.
_RANK_NEEDED = 0.85
# A moment lasts while the score is above this share of the way from the usual frame to the best;
# of 0.4 to 0.7 the one that found most captions in compositions of validation pictures.
_MOMENT_LEVEL = 0.6
# Frames that a decoder reads to describe a stretch of a video or to answer about it.
_MOST_SEEN = 3


@dataclass(frozen=True)
class PresenceCalibration:
    """Scores to probabilities, for one encoder and bank.

    One phrase alone ("a dog") and a thing together with what is said of it ("a man", "a man
    eating") spread differently, so each has its own curve.

    Attributes:
        encoder: id of the encoder.
        bank: digest of the bank that scores are measured against.
        thresholds: the scores whose probability is one half, for one phrase and for two.
        slopes: of the logistic curves, per unit of score.
        usual: float32 (D,), mean of the unit vectors of ordinary pictures.
    """

    encoder: str
    bank: str
    thresholds: tuple[float, float]
    slopes: tuple[float, float]
    usual: Array = field(repr=False)

    def probability(self, score: float, num_phrases: int) -> float:
        """The logistic curve."""
        which = min(num_phrases, 2) - 1
        return 1 / (1 + math.exp(-self.slopes[which] * (score - self.thresholds[which])))


def load_presence_calibration(path: Path = CALIBRATION_FILE) -> PresenceCalibration | None:
    """The calibration that comes with videomm, or None where there is no such file."""
    if not path.is_file():
        return None
    with safe_open(path, "numpy") as file:
        facts: dict[str, str] = file.metadata()
        usual = file.get_tensor("usual").astype(np.float32)
    one, two = json.loads(facts["thresholds"])
    slope, second = json.loads(facts["slopes"])
    return PresenceCalibration(facts["encoder"], facts["bank"], (one, two), (slope, second), usual)


def save_presence_calibration(calibration: PresenceCalibration, path: Path) -> None:
    """Write what `load_presence_calibration` reads."""
    facts = {
        "encoder": calibration.encoder,
        "bank": calibration.bank,
        "thresholds": json.dumps(calibration.thresholds),
        "slopes": json.dumps(calibration.slopes),
    }
    path.write_bytes(save({"usual": calibration.usual.astype(np.float32)}, facts))


class PhraseScorer:
    """Phrases in an encoder's space, beside the bank that they are measured against.

    Every phrase is embedded once, however many videos and questions come.

    Args:
        model: scores them.
        bank: of videomm, in the space of the model's encoder.
        describer: puts what the model's encoder sees into words; None where there is none for it.
    """

    def __init__(
        self, model: VideoModel, bank: EmbeddedBank, describer: Describer | None = None
    ) -> None:
        self.model = model
        self.bank = bank
        self.describer = describer
        self._known: dict[str, Array] = {}

    @cached_property
    def calibration(self) -> PresenceCalibration | None:
        """This encoder's calibration with this bank, or None."""
        found = load_presence_calibration()
        if found is None or found.encoder != self.model.encoder.id:
            return None
        return found if found.bank == self.bank.bank.digest else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of an answer should know about this encoder."""
        return () if self.calibration else (UNCALIBRATED.format(self.model.name),)

    def vectors(self, phrases: Sequence[str]) -> Array:
        """Phrases as unit vectors, float32 (P, D)."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]
        if new:
            rows = self.model.encoder.encode_text(new, TEMPLATES)
            self._known.update(zip(new, rows, strict=True))
        return np.stack([self._known[phrase] for phrase in phrases])

    @torch.inference_mode()
    def similarities(self, frames: Array, texts: Array) -> Array:
        """Sim(I, T) of frames (N, D) and texts (P, D): float32 (N, P)."""
        device = self.model.encoder.device
        tensors = (torch.from_numpy(np.array(part)).to(device) for part in (frames, texts))
        return np.asarray(self.model.classifier.similarity(*tensors).cpu().numpy())

    def centred(self, frames: Array, texts: Array) -> Array:
        """Similarities (N, P) less each text's mean over ordinary pictures, to rank texts by.

        Some texts are near to every picture, and would be the answer to everything. Without a
        calibration, which knows that mean, the similarities are taken as they are.
        """
        sims = self.similarities(frames, texts)
        if self.calibration is None:
            return sims
        usual = self.similarities(self.calibration.usual[None], texts)
        return np.asarray(sims - usual)

    def probability(self, score: float, rank: float, num_phrases: int = 1) -> float:
        """The probability that phrases hold, from their score and the share of the bank below."""
        if self.calibration is not None:
            return self.calibration.probability(score, num_phrases)
        if rank < _RANK_NEEDED:
            return 0.5 * rank / _RANK_NEEDED
        return 0.5 + 0.5 * (rank - _RANK_NEEDED) / (1 - _RANK_NEEDED)


@dataclass(frozen=True, eq=False)
class Presence:
    """How well phrases hold together in a video.

    Attributes:
        score: of their best frame, in standard deviations of the bank's best frames.
        probability: that they hold, in [0, 1]; from one half on they count as present.
        segments: where they hold, best first, with the probability at the best frame as score;
            where they do not hold, the places that come nearest.
    """

    score: float
    probability: float
    segments: tuple[Segment, ...]

    @property
    def present(self) -> bool:
        """Whether they count as present."""
        return self.probability >= 0.5


class View:
    """A timeline as questions see it: frames in context, scenes, and the part in question.

    Args:
        timeline: made by the scorer's encoder.
        scorer: measures phrases.
    """

    def __init__(self, timeline: Timeline, scorer: PhraseScorer) -> None:
        self.timeline = timeline
        self.scorer = scorer
        self.scenes = find_scenes(timeline)
        context = scorer.model.attend(timeline).frames[0].float().cpu().numpy()
        self.frames = _smooth_within(context, self.scenes)
        self.part = np.ones(len(timeline), dtype=bool)
        self._said = scorer.model.said(timeline)
        self._places: dict[int, Array] = {}

    def limited_to(self, first: int, last: int) -> View:
        """The same view with only the frames `[first, last)` in question."""
        out = View.__new__(View)
        out.__dict__.update({k: v for k, v in self.__dict__.items() if k != "_bank"})
        out.part = np.zeros(len(self.timeline), dtype=bool)
        out.part[first:last] = True
        return out

    @cached_property
    def _bank(self) -> Array:
        """Best similarity of each of the bank's entries in this part, ascending: (M,)."""
        sims = self._similarities(self.scorer.bank.vectors, self.part)
        return np.sort(sims.max(axis=0))

    def _similarities(self, texts: Array, part: Array | slice = slice(None)) -> Array:
        """Similarities (N, P) of frames and texts (P, D), with what is said at each mixed in."""
        sims = self.scorer.similarities(self.frames[part], texts)
        return sims if self._said is None else sims + self._said[part] @ texts.T

    def centred(self, frames: Array, texts: Array) -> Array:
        """What speaks for each text (P, D) in the chosen frames, bool (N,): float (P,).

        As `PhraseScorer.centred` of their mean, with what is said at them mixed in.
        """
        sims = self.scorer.centred(self.pooled(frames), texts)[0]
        return sims if self._said is None else sims + self._said[frames].mean(axis=0) @ texts.T

    @property
    def described(self) -> bool:
        """Whether the describer has looked at any of the frames."""
        return bool(self._places)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of an answer should know about how it was judged."""
        if self._said is None:
            return self.scorer.warnings
        return (*self.scorer.warnings, SAID_TOO)

    def span(self, first: int, last: int, score: float) -> Segment:
        """Frames `[first, last)` as a segment in seconds."""
        bounds = self.timeline.bounds
        return Segment(float(bounds[first]), float(bounds[last]), score)

    def pooled(self, frames: Array) -> Array:
        """Unit mean (1, D) of the chosen frames, bool (N,)."""
        mean = self.frames[frames].mean(axis=0, keepdims=True)
        return np.asarray(mean / np.linalg.norm(mean))

    def places(self, frames: Array) -> Array | None:
        """What the image tower sees at each place of some of the chosen frames, bool (N,).

        Returns:
            float32 (F, P, C) of up to `_MOST_SEEN` frames, evenly spread; None where nothing reads
            them or the timeline has no thumbnails.
        """
        if self.scorer.describer is None or not self.timeline.thumbnails:
            return None
        chosen = np.flatnonzero(frames)
        spread = np.linspace(0, len(chosen) - 1, min(_MOST_SEEN, len(chosen)) + 2)[1:-1]
        places = chosen[np.unique(spread.round().astype(int))].tolist()
        new = [i for i in places if i not in self._places]
        if new:
            pictures = [np.asarray(open_thumbnail(self.timeline.thumbnails[i])) for i in new]
            seen = self.scorer.model.encoder.encode_spatial(np.stack(pictures))
            self._places.update(zip(new, seen, strict=True))
        return np.stack([self._places[i] for i in places])

    def frames_in(self, segment: Segment) -> Array:
        """The frames that stand for a part of the segment, bool (N,)."""
        bounds = self.timeline.bounds
        inside = (bounds[:-1] < segment.end) & (bounds[1:] > segment.start)
        return np.asarray(inside if inside.any() else self.part)

    def judge(self, peaks: Array, num_phrases: int = 1) -> Array:
        """Probabilities (P,) that phrases hold whose best similarities in this part are `peaks`.

        With `num_phrases` above 1 a peak is the mean over that many phrases.
        """
        scores = self._scores(peaks)
        ranks = np.searchsorted(self._bank, peaks) / len(self._bank)
        pairs = zip(scores.tolist(), ranks.tolist(), strict=True)
        return np.array([self.scorer.probability(*pair, num_phrases) for pair in pairs])

    def _scores(self, peaks: Array) -> Array:
        return np.asarray((peaks - self._bank.mean()) / (self._bank.std() + 1e-8))

    def presence(self, phrases: Sequence[str]) -> Presence:
        """How well phrases hold in this part of the video, taken together.

        Their scores are averaged: for "a man eating" both the man and his eating are looked for,
        and either alone is weaker evidence.

        Args:
            phrases: from the general to the special; the last one says where.
        """
        sims = self._similarities(self.scorer.vectors(phrases))
        peak = sims[self.part].max(axis=0).mean(keepdims=True)
        probability = float(self.judge(peak, len(phrases))[0])
        return Presence(float(self._scores(peak)[0]), probability, self.moments(sims))

    def moments(self, sims: Array) -> tuple[Segment, ...]:
        """Where phrases hold, best first, each scored with the probability at its best frames.

        A moment is a run of frames where the last phrase is nearer to the best frame than to the
        usual one, the median of the other scenes: in a video of two scenes the median of all
        frames may well lie in the right one. Beside the best moment only those count that would
        count on their own.

        Args:
            sims: (N, P), similarities of P phrases.
        """
        course = sims[:, -1]
        best = int(np.where(self.part, course, -np.inf).argmax())
        others = self.part.copy()
        for first, last in self.scenes:
            if first <= best < last:
                others[first:last] = False
        usual = np.median(course[others if others.any() else self.part])
        level = usual + _MOMENT_LEVEL * (course[best] - usual)
        runs = _runs_of((course >= min(level, course[best])) & self.part)
        peaks = np.array([sims[first:last].max(axis=0).mean() for first, last in runs])
        tops = np.array([course[first:last].max() for first, last in runs])
        chances = self.judge(peaks, sims.shape[1])
        kept = (chances >= 0.5) | (tops == tops.max())
        # Equal chances, as a curve gives them at its ends, are told apart by the similarity.
        order = np.lexsort((-tops, -chances))
        return tuple(self.span(runs[i][0], runs[i][1], float(chances[i])) for i in order if kept[i])


def _smooth_within(vectors: Array, scenes: Sequence[tuple[int, int]]) -> Array:
    """Unit mean of each frame and its neighbours in the same scene, so that cuts stay sharp."""
    out = np.empty_like(vectors)
    for first, last in scenes:
        part = vectors[first:last]
        padded = np.concatenate((part[:1], part, part[-1:]))
        out[first:last] = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12))


def _runs_of(values: Array) -> list[tuple[int, int]]:
    """`[first, last)` of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], values.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
