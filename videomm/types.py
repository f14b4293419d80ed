"""The things that cross module boundaries: frozen, self-checking, with a readable repr."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from videomm.errors import InvalidInputError

Array = npt.NDArray[Any]


def _freeze(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_times(times: Array, count: int, what: str) -> Array:
    """Return `times` as read-only float64 (count,), or say what is wrong with them."""
    out = np.asarray(times, dtype=np.float64)
    if out.shape != (count,):
        raise InvalidInputError(
            f"{what}: times have shape {out.shape}, expected ({count},): one time a frame"
        )
    if not np.isfinite(out).all() or (out < 0).any():
        raise InvalidInputError(
            f"{what}: times must be finite seconds >= 0, got {out.tolist()!r:.80}"
        )
    return _freeze(out)


@dataclass(frozen=True)
class VideoInfo:
    """What is known about a video file before its frames are decoded.

    Attributes:
        path: the file, as given.
        duration: seconds from the first displayed frame to the end of the last one.
        width: pixels, after rotation.
        height: pixels, after rotation.
        codec: FFmpeg's name of the codec, such as `h264`.
        container: FFmpeg's short name of the container, such as `mov,mp4,m4a,3gp,3g2,mj2`.
        start_seconds: the container's time of the first displayed frame, which is time 0 here.
        rotation: degrees clockwise that the container asks for; frames have it applied.
        decoder: `decord` or `pyav`, the one that reads this file.
        decoder_reason: why that one, in one line.
        warnings: what a reader of the result should know, such as `interlaced`.
    """

    path: str
    duration: float
    width: int
    height: int
    codec: str
    container: str
    start_seconds: float
    rotation: int
    decoder: str
    decoder_reason: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False, eq=False)
class Frames:
    """Decoded frames with their true times.

    Attributes:
        pixels: uint8 (N, H, W, 3), RGB.
        times: float64 (N,), seconds from the first displayed frame.
        complete: whether everything that was asked for could be decoded.
        warnings: what went wrong on the way, one line each.
    """

    pixels: Array
    times: Array
    complete: bool = True
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
            raise InvalidInputError(
                f"frames must be uint8 of shape (N, H, W, 3), got {pixels.dtype} {pixels.shape}"
            )
        object.__setattr__(self, "pixels", _freeze(pixels))
        object.__setattr__(self, "times", _check_times(self.times, len(pixels), "frames"))

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        n, h, w, _ = self.pixels.shape
        span = f"{self.times[0]:.3f}..{self.times[-1]:.3f} s" if n else "no times"
        return f"Frames({n} of {w}x{h}, {span}, complete={self.complete})"


@dataclass(frozen=True)
class SamplingPlan:
    """Which times of a video to look at, and the settings that led to them.

    Attributes:
        mode: `fps`, `uniform` or `times`.
        times: seconds, ascending.
        settings: what a repeat of the run needs, as in `SamplingConfig`.
    """

    mode: str
    times: tuple[float, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(b < a for a, b in zip(self.times, self.times[1:], strict=False)):
            raise InvalidInputError("a sampling plan's times must be ascending")

    def __len__(self) -> int:
        return len(self.times)

    def to_dict(self) -> dict[str, Any]:
        """Mode and settings; the times follow from them and the duration."""
        return {"mode": self.mode, **self.settings, "num_times": len(self.times)}


@dataclass(frozen=True)
class Subtitle:
    """A text and when it is spoken or shown: `[start, end)` in seconds of the video's time."""

    start: float
    end: float
    text: str

    def __post_init__(self) -> None:
        if not (0 <= self.start <= self.end < math.inf):
            raise InvalidInputError(
                f"a subtitle needs finite 0 <= start <= end, got {self.start}, {self.end}"
            )
        if not self.text.strip():
            raise InvalidInputError(f"a subtitle at {self.start:.1f} s has no text")


@dataclass(frozen=True, repr=False, eq=False)
class Speech:
    """What is said in one video: the second modality beside its frames.

    Attributes:
        subtitles: M >= 1 timed texts, in order of their starts; they may overlap.
        embeddings: float32 (M, D), L2-normalised rows, of the encoder's text tower.
        source: where they come from, in words.
    """

    subtitles: tuple[Subtitle, ...]
    embeddings: Array
    source: str

    def __post_init__(self) -> None:
        embeddings, count = np.asarray(self.embeddings), len(self.subtitles)
        if embeddings.dtype != np.float32 or embeddings.ndim != 2 or not count:
            raise InvalidInputError(
                "speech needs one or more subtitles and embeddings as float32 (M, D), got "
                f"{count} and {embeddings.dtype} {embeddings.shape}"
            )
        if len(embeddings) != count:
            raise InvalidInputError(f"{len(embeddings)} embeddings for {count} subtitles: one each")
        if not np.allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-3):
            raise InvalidInputError("embeddings of speech must be L2-normalised")
        if (np.diff(self.spans[:, 0]) < 0).any():
            raise InvalidInputError("subtitles must be in order of their starts")
        object.__setattr__(self, "embeddings", _freeze(embeddings))

    @property
    def spans(self) -> Array:
        """float64 (M, 2): start and end of each subtitle in seconds."""
        return np.array([(item.start, item.end) for item in self.subtitles], np.float64)

    def __len__(self) -> int:
        return len(self.subtitles)

    def __repr__(self) -> str:
        first, last = self.subtitles[0], self.subtitles[-1]
        return f"Speech({len(self)} texts, {first.start:.1f}..{last.end:.1f} s, {self.source!r})"


@dataclass(frozen=True, repr=False, eq=False)
class Timeline:
    """One video's embeddings with their times: what every question is answered from.

    Attributes:
        embeddings: float32 (N, D), L2-normalised rows.
        times: float64 (N,), true times of the frames in seconds, strictly ascending.
        duration: seconds.
        encoder: id of the encoder that made the embeddings.
        path: the file, or `<frames>` for arrays.
        decoder: `decord`, `pyav`, or `none` for arrays.
        decoder_reason: why that decoder.
        plan: mode and settings of the sampling, as `SamplingPlan.to_dict` gives them.
        thumbnails: a small JPEG a frame, or empty.
        complete: whether the whole plan could be decoded.
        warnings: what went wrong on the way.
        speech: what is said, where that was asked for and anything is.
    """

    embeddings: Array
    times: Array
    duration: float
    encoder: str
    path: str
    decoder: str
    decoder_reason: str
    plan: dict[str, Any]
    thumbnails: tuple[bytes, ...] = ()
    complete: bool = True
    warnings: tuple[str, ...] = ()
    speech: Speech | None = None

    def __post_init__(self) -> None:
        embeddings = np.asarray(self.embeddings)
        if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) == 0:
            raise InvalidInputError(
                "a timeline's embeddings must be float32 of shape (N, D) with N >= 1, "
                f"got {embeddings.dtype} {embeddings.shape}"
            )
        norms = np.linalg.norm(embeddings, axis=1)
        if not np.allclose(norms, 1.0, atol=1e-3):
            raise InvalidInputError(
                f"a timeline's embeddings must be L2-normalised, got norms from "
                f"{norms.min():.4f} to {norms.max():.4f}"
            )
        times = _check_times(self.times, len(embeddings), "timeline")
        if (np.diff(times) <= 0).any():
            raise InvalidInputError("a timeline's times must be strictly ascending")
        if self.thumbnails and len(self.thumbnails) != len(embeddings):
            raise InvalidInputError(
                f"{len(self.thumbnails)} thumbnails for {len(embeddings)} frames: one each, or none"
            )
        if self.speech is not None and self.speech.embeddings.shape[1] != embeddings.shape[1]:
            raise InvalidInputError(
                f"speech has embeddings of {self.speech.embeddings.shape[1]}, the frames of "
                f"{embeddings.shape[1]}: one encoder makes both"
            )
        object.__setattr__(self, "embeddings", _freeze(embeddings))
        object.__setattr__(self, "times", times)

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        n, d = self.embeddings.shape
        return (
            f"Timeline({self.path!r}, {n} frames x {d}, {self.duration:.2f} s, "
            f"encoder={self.encoder!r}, decoder={self.decoder!r}, complete={self.complete})"
        )

    @property
    def bounds(self) -> Array:
        """float64 (N + 1,): frame i stands for [bounds[i], bounds[i + 1]).

        The last one stands until the end of the video; of an incomplete one nobody knows what comes
        later, so there it stands as long as the usual frame.
        """
        last = float(self.times[-1])
        end = max(self.duration, last)
        if not self.complete and len(self.times) > 1:
            end = min(end, last + float(np.median(np.diff(self.times))))
        edges = np.append(self.times, end)
        edges[0] = 0.0
        return edges


@dataclass(frozen=True)
class Segment:
    """`[start, end)` in seconds with a score, and a label or a sentence where it has one."""

    start: float
    end: float
    score: float
    label: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise InvalidInputError(
                f"a segment needs 0 <= start <= end, got start={self.start}, end={self.end}"
            )


@dataclass(frozen=True)
class Label:
    """A class name with its score in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """Which labels a video has, and where each holds.

    Attributes:
        labels: best first.
        segments: in order of time; stretches where no label reaches the threshold are left out.
        unknown: True where a threshold was given and no label reaches it.
    """

    path: str
    model: str
    decoder: str
    complete: bool
    warnings: tuple[str, ...]
    labels: tuple[Label, ...]
    segments: tuple[Segment, ...]
    unknown: bool
    sampling: dict[str, Any]
    duration: float

    @property
    def best(self) -> Label | None:
        """The first label, or None where the video is unknown."""
        return None if self.unknown else self.labels[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return to_plain(self)

    def __str__(self) -> str:
        top = ", ".join(f"{item.label} {item.score:.2f}" for item in self.labels[:3])
        return f"{self.path}: {'unknown; ' if self.unknown else ''}{top}"


@dataclass(frozen=True)
class Keyframe:
    """One frame that stands for a part of the video: its time, a sentence, its importance."""

    time: float
    text: str
    score: float


@dataclass(frozen=True)
class Summary:
    """A video in short.

    Attributes:
        text: what is to be seen when, in sentences.
        overall: of three different sentences or more the one that is nearest to the whole video;
            empty for fewer.
        method: what wrote them: `decoder`, with words of the bank where it was not sure, or `bank`.
        keyframes: in order of time, no two of them alike.
        segments: the stretches worth watching, in order of time, within the asked-for length.
        files: what was written, by kind such as `page` or `reel`; empty where nothing was.
        scenes: they tile the video.
    """

    path: str
    model: str
    decoder: str
    complete: bool
    warnings: tuple[str, ...]
    text: str
    keyframes: tuple[Keyframe, ...]
    segments: tuple[Segment, ...]
    files: dict[str, str]
    scenes: tuple[Segment, ...]
    sampling: dict[str, Any]
    duration: float
    method: str
    overall: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return to_plain(self)

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass(frozen=True)
class Alternative:
    """Another answer that was considered, with its score in [0, 1]."""

    answer: str
    score: float


@dataclass(frozen=True)
class Answer:
    """The answer to one question about a video, and what it rests on.

    Attributes:
        answer: in words; None where what the question asks about was not found.
        score: in [0, 1], how sure the method is. For `choices` and picked answers the answer's
            share among the candidates times the probability that what the question presupposes
            is there; for yes/no, times and counts the probability of that answer; for None the
            probability, under one half, that something was there after all.
        method: which way it was answered: `choices`, `yes/no`, `when`, `how long`, `how many`,
            `timeline`, `pick`, `describe`, `open`, `none`, or `answerer`; with `, decoder` behind
            where the text decoder had a say.
        evidence: segments that the answer rests on, best first.
        alternatives: other answers, best first.
    """

    path: str
    question: str
    answer: str | None
    score: float
    method: str
    evidence: tuple[Segment, ...]
    alternatives: tuple[Alternative, ...]
    model: str
    decoder: str
    complete: bool
    warnings: tuple[str, ...]
    sampling: dict[str, Any]
    duration: float

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise InvalidInputError(f"an answer's score must be in [0, 1], got {self.score}")

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.answer is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return to_plain(self)

    def __str__(self) -> str:
        return f"{self.path}: {self.question} {self.answer or 'not found'} ({self.score:.2f})"


def to_plain(result: Any) -> dict[str, Any]:
    """A result as a dict of JSON values; tuples become lists.

    A segment's label and text are left out where it has none.
    """

    def plain(value: Any) -> Any:
        if is_dataclass(value):
            pairs = [(item.name, getattr(value, item.name)) for item in fields(value)]
            optional = isinstance(value, Segment)
            return {k: plain(v) for k, v in pairs if not (optional and v is None)}
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    out: dict[str, Any] = plain(result)
    return out


def clock(seconds: float) -> str:
    """Seconds as people read them: `0:07.5`, `1:02:03.0`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"
