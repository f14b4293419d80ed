"""Settings: small frozen dataclasses that check themselves; saved as JSON beside results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from videomm.errors import InvalidInputError

DECODERS = ("auto", "decord", "pyav")
TUNES = ("head", "temporal", "all")
TASKS = ("clips", "segments", "importance")
FUSIONS = ("none", "early", "late", "hybrid")
# How long a summary is where nobody says.
SUMMARY_RATIO = 0.15
SUMMARY_MOST_SECONDS = 60.0


class Config:
    """Shared by every config: a strict `from_dict`, and `to_dict`.

    Attributes:
        title: what errors call it; the class's name where it is empty.
    """

    title: ClassVar[str] = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from plain values.

        Raises:
            InvalidInputError: a key is unknown, or a value is not allowed.
        """
        allowed = [item.name for item in fields(cls)]  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(allowed))
        if unknown:
            title = cls.title or cls.__name__
            raise InvalidInputError(
                f"{title}: unknown key {unknown[0]!r}; allowed: {', '.join(allowed)}"
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)  # type: ignore[call-overload]


@dataclass(frozen=True)
class SamplingConfig(Config):
    """How to choose the times to look at: every 1/fps seconds unless told otherwise.

    Attributes:
        fps: frames a second of video.
        min_frames: shorter videos are sampled more densely, to this many.
        max_frames: longer videos are sampled evenly, with this many.
        num_frames: this many, uniformly, however long the video; `fps` is then not used.
        times: exactly these seconds; nothing else is then used.
    """

    fps: float = 2.0
    min_frames: int = 8
    max_frames: int = 512
    num_frames: int | None = None
    times: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise InvalidInputError(f"fps must be a number above 0, got {self.fps!r}")
        if not 1 <= self.min_frames <= self.max_frames:
            raise InvalidInputError(
                "frames need 1 <= min_frames <= max_frames, got "
                f"min_frames={self.min_frames}, max_frames={self.max_frames}"
            )
        if self.num_frames is not None and self.times is not None:
            raise InvalidInputError("give num_frames or times, not both")
        if self.num_frames is not None and self.num_frames < 1:
            raise InvalidInputError(f"num_frames must be at least 1, got {self.num_frames}")
        if self.times is not None:
            times = tuple(float(t) for t in self.times)
            if not times or any(not math.isfinite(t) or t < 0 for t in times):
                raise InvalidInputError(
                    f"times must be one or more finite seconds >= 0, got {self.times!r:.80}"
                )
            object.__setattr__(self, "times", times)


@dataclass(frozen=True)
class DecodingConfig(Config):
    """How files are decoded.

    Attributes:
        decoder: `auto`, `decord` or `pyav`.
        timeout_seconds: deadline for one file, before the share of its duration is added.
        timeout_per_second: seconds added to the deadline for each second of video.
    """

    decoder: str = "auto"
    timeout_seconds: float = 120.0
    timeout_per_second: float = 0.5

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise InvalidInputError(
                f"decoder must be one of {', '.join(DECODERS)}, got {self.decoder!r}"
            )
        if not (math.isfinite(self.timeout_seconds) and self.timeout_seconds > 0):
            raise InvalidInputError(f"timeout_seconds must be above 0, got {self.timeout_seconds}")
        if not (math.isfinite(self.timeout_per_second) and self.timeout_per_second >= 0):
            raise InvalidInputError(
                f"timeout_per_second must be at least 0, got {self.timeout_per_second}"
            )


@dataclass(frozen=True)
class SpeechConfig(Config):
    """Where the texts that are spoken in a video come from.

    Attributes:
        subtitles: `auto` takes a file beside the video (`clip.srt`, `clip.en.vtt`, ...), else a
            stream inside it; `none` neither; anything else is a file.
        transcribe: where no subtitles are found, have a speech model listen.
        speech_model: its name for faster-whisper, such as `base`, or a folder.
    """

    subtitles: str = "auto"
    transcribe: bool = False
    speech_model: str = "base"

    def __post_init__(self) -> None:
        if not self.subtitles or not self.speech_model:
            raise InvalidInputError(
                "subtitles must be auto, none or a file, and speech_model a name or a folder, got "
                f"{self.subtitles!r} and {self.speech_model!r}"
            )

    @property
    def wanted(self) -> bool:
        """Whether any text is asked for."""
        return self.subtitles != "none" or self.transcribe

    def check_number(self, videos: int) -> None:
        """Say what is wrong where one file is given for several videos."""
        if videos > 1 and self.subtitles not in ("auto", "none"):
            raise InvalidInputError(
                f"subtitles {self.subtitles!r} belong to one video, got {videos}; lay a file with "
                "each one's name beside it, and take auto"
            )


def check_fusion(fusion: str) -> str:
    """The name of a fusion, or an error that lists them."""
    if fusion not in FUSIONS:
        raise InvalidInputError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}")
    return fusion


@dataclass(frozen=True)
class ClassifyConfig(Config):
    """How labels are scored.

    Attributes:
        multi_label: score each label on its own, instead of a softmax over all of them.
        unknown: below this score a video has no label; None always gives one.
        top: keep this many labels, best first; None keeps all.
    """

    multi_label: bool = False
    unknown: float | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        if self.unknown is not None and not 0 <= self.unknown <= 1:
            raise InvalidInputError(f"unknown must be between 0 and 1, got {self.unknown}")
        if self.top is not None and self.top < 1:
            raise InvalidInputError(f"top must be at least 1, got {self.top}")


@dataclass(frozen=True)
class SummarizeConfig(Config):
    """How short a summary is, and what words it has.

    Attributes:
        seconds: length of the stretches worth watching, in all; or
        ratio: the same as a share of the video; 15 %, at most 60 s, where neither is given.
        keyframes: no more than this; one a scene, from 3 to 9, where not given.
        bank: a file of concepts in the form of `read_bank`; None takes the one of videomm.
    """

    seconds: float | None = None
    ratio: float | None = None
    keyframes: int | None = None
    bank: str | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and self.ratio is not None:
            raise InvalidInputError("give seconds or ratio, not both")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise InvalidInputError(f"seconds must be a number above 0, got {self.seconds!r}")
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise InvalidInputError(f"ratio must be above 0 and at most 1, got {self.ratio!r}")
        if self.keyframes is not None and self.keyframes < 1:
            raise InvalidInputError(f"keyframes must be at least 1, got {self.keyframes}")

    def budget(self, duration: float) -> float:
        """Seconds that the chosen stretches may last, for a video of that many seconds."""
        if self.seconds is not None:
            return min(self.seconds, duration)
        if self.ratio is not None:
            return self.ratio * duration
        return min(SUMMARY_RATIO * duration, SUMMARY_MOST_SECONDS)


@dataclass(frozen=True)
class TrainConfig(Config):
    """How a model is trained on labelled clips.

    Attributes:
        tune: `head` trains the W of Sim(I, T) = Iᵀ·W·T alone, `temporal` the temporal
            Transformer as well, `all` the image tower before them, from pixels.
        epochs: passes over the clips at most; None takes as many as 400 steps need, from 6 to
            100; for the image tower as many as 120 need, from 3 to 20.
        batch_size: clips a step.
        lr: how fast it learns; a share of what would turn a clip's answer round in one step.
        seed: of the split, the order of clips and the dropout.
        fusion: how what is said joins what is seen: `early`, `late`, `hybrid` (both) or `none`.
    """

    tune: str = "temporal"
    epochs: int | None = None
    batch_size: int = 32
    lr: float = 1.0
    seed: int = 0
    fusion: str = "none"

    def __post_init__(self) -> None:
        if self.tune not in TUNES:
            raise InvalidInputError(f"tune must be one of {', '.join(TUNES)}, got {self.tune!r}")
        if check_fusion(self.fusion) in ("early", "hybrid") and self.tune == "head":
            raise InvalidInputError(
                f"{self.fusion} fusion is learned by the temporal Transformer, got tune='head'; "
                "take tune='temporal' or fusion='late'"
            )
        _check_training(self.epochs, self.batch_size, self.lr, self.seed)


@dataclass(frozen=True)
class FrameTrainConfig(Config):
    """How a model is trained on what the frames of videos are labelled with.

    Attributes:
        epochs: at most; an epoch is a pass over the videos, or ten batches where that is more.
            None takes as many as 400 batches need, from 6 to 100.
        batch_size: videos a step.
        lr: how fast it learns, 1 being the rate that does for most data.
        seed: of the split, the start, the order of videos and the dropout.
    """

    epochs: int | None = None
    batch_size: int = 7
    lr: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_training(self.epochs, self.batch_size, self.lr, self.seed)


def _check_training(epochs: int | None, batch_size: int, lr: float, seed: int) -> None:
    if epochs is not None and epochs < 1:
        raise InvalidInputError(f"epochs must be at least 1, got {epochs}")
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be at least 1, got {batch_size}")
    if not (math.isfinite(lr) and lr > 0):
        raise InvalidInputError(f"lr must be a number above 0, got {lr!r}")
    if not 0 <= seed < 2**31:
        raise InvalidInputError(f"seed must be from 0 to {2**31 - 1}, got {seed}")


def check_labels(labels: Sequence[str], multi_label: bool = False) -> list[str]:
    """Labels without outer blanks, or an error that says what is wrong with them."""
    if isinstance(labels, str):
        raise InvalidInputError(f"labels must be a list of texts, got the one text {labels!r:.60}")
    names = [label.strip() for label in labels]
    if not names or not all(names):
        raise InvalidInputError(f"labels must be one or more non-empty texts, got {list(labels)!r}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidInputError(f"label {repeated[0]!r} is given more than once")
    if len(names) == 1 and not multi_label:
        raise InvalidInputError(
            f"one label alone ({names[0]!r}) would always score 1; give at least two, or score "
            "it on its own with --multi-label"
        )
    return names
