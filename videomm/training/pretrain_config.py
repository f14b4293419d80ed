"""The TOML file of `videomm pretrain`, as small frozen dataclasses."""

from __future__ import annotations

import math
import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from videomm.config import Config
from videomm.errors import InvalidInputError

WEIGHTS = ("pretrained", "random")
OWN_TEXT = "encoder"


class Section(Config):
    """A table of the file: each value has the type of its default."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """As `Config.from_dict`.

        Raises:
            InvalidInputError: a key is unknown, or a value is not allowed.
        """
        for item in fields(cls):  # type: ignore[arg-type]
            wanted = type(item.default)
            value = values.get(item.name, item.default)
            fits = isinstance(value, (int, float) if wanted is float else wanted)
            if not fits or (isinstance(value, bool) and wanted is not bool):
                raise InvalidInputError(
                    f"{cls.title}: {item.name} must be of type {wanted.__name__}, such as "
                    f"{item.default!r}, got {value!r:.80}"
                )
        return super().from_dict(values)


@dataclass(frozen=True)
class ImageStart(Section):
    """The image tower that training starts from.

    Attributes:
        start: `tiny`, `ARCH/TAG`, `hf-hub:ORG/NAME` or a folder, as everywhere; with random
            weights `tiny` or an open_clip architecture without a tag.
        weights: `pretrained`, or `random` for an untrained architecture.
        frozen: only the head behind the trunk learns, and the trunk sees each picture once.
    """

    title: ClassVar[str] = "[image]"

    start: str = "tiny"
    weights: str = "pretrained"
    frozen: bool = False

    def __post_init__(self) -> None:
        _check_weights("image", self.weights, self.frozen)


@dataclass(frozen=True)
class TextStart(Section):
    """The text tower that training starts from.

    Attributes:
        start: `encoder` for the text tower of `[image] start`, or a text model of the transformers
            family (BERT, ALBERT, RoBERTa and the like): a folder with `config.json` and a
            tokenizer, or a name on the Hugging Face hub.
        weights: `pretrained`, or `random` to train the model of that `config.json` from nothing.
        frozen: only its projection learns.
        context_length: tokens a text at most; `encoder` has its own.
    """

    title: ClassVar[str] = "[text]"

    start: str = OWN_TEXT
    weights: str = "pretrained"
    frozen: bool = False
    context_length: int = 64

    def __post_init__(self) -> None:
        _check_weights("text", self.weights, self.frozen)
        if self.start == OWN_TEXT and self.weights == "random":
            raise InvalidInputError(
                "[text] start 'encoder' has the weights of [image] start: say random there, or "
                "name a text model here"
            )
        if self.context_length < 8:
            raise InvalidInputError(
                f"context_length must be at least 8 tokens, got {self.context_length}"
            )


@dataclass(frozen=True)
class LoopSettings(Section):
    """What a user may want to change of `PretrainConfig`, in its words.

    Attributes:
        steps: of the optimiser.
        batch_size: pictures a step.
        texts_per_image: texts drawn for each.
        lr: peak rate of the head and the text projection.
        trunk_lr: of the image trunk, a step's share of each tensor's size.
        trunk_start: steps before the trunk learns, so that a new text tower first finds its place.
        text_lr: of the text tower.
        warmup_steps: until the peak rate.
        crop_size: side of the random crops in pixels; 0 takes the tower's own size.
        measure_every: steps between two measurements and saves.
    """

    title: ClassVar[str] = "[train]"

    steps: int = 400
    batch_size: int = 128
    texts_per_image: int = 2
    lr: float = 2e-4
    trunk_lr: float = 4e-4
    trunk_start: int = 0
    text_lr: float = 1e-4
    warmup_steps: int = 20
    crop_size: int = 0
    measure_every: int = 50

    def __post_init__(self) -> None:
        for name in ("steps", "texts_per_image", "warmup_steps", "measure_every"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise InvalidInputError(
                f"batch_size must be at least 2, since pairs are told apart, got {self.batch_size}"
            )
        for name in ("lr", "trunk_lr", "text_lr", "trunk_start", "crop_size"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InvalidInputError(f"{name} must be a number from 0, got {value!r}")


@dataclass(frozen=True)
class PretrainRunConfig(Config):
    """The whole file; relative paths in it start at its folder.

    Attributes:
        data: a CSV or JSONL file of pictures and texts, as `read_pictures` takes it.
        out: the folder for the model.
        seed: of the split, the random weights and the order of pictures.
        image: table `[image]`.
        text: table `[text]`.
        train: table `[train]`.
    """

    title: ClassVar[str] = "outside of its tables"

    data: str
    out: str
    seed: int = 0
    image: ImageStart = field(default_factory=ImageStart)
    text: TextStart = field(default_factory=TextStart)
    train: LoopSettings = field(default_factory=LoopSettings)

    def __post_init__(self) -> None:
        for name in ("data", "out"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise InvalidInputError(f"{name} must be a path, got {getattr(self, name)!r:.80}")
        whole = isinstance(self.seed, int) and not isinstance(self.seed, bool)
        if not whole or not 0 <= self.seed < 2**31:
            raise InvalidInputError(f"seed must be from 0 to {2**31 - 1}, got {self.seed!r:.80}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from the tables of a TOML file.

        Raises:
            InvalidInputError: a key is unknown or missing, or a value is not allowed.
        """
        kinds: dict[str, type[Section]] = {
            "image": ImageStart,
            "text": TextStart,
            "train": LoopSettings,
        }
        for name in ("data", "out"):
            if name not in values:
                raise InvalidInputError(f"{name} is missing; add a line {name} = 'PATH' on top")
        for name in kinds.keys() & values.keys():
            if not isinstance(values[name], dict):
                raise InvalidInputError(f"{name} must be a table [{name}], got {values[name]!r}")
        tables = {name: kind.from_dict(values.get(name, {})) for name, kind in kinds.items()}
        return super().from_dict({**values, **tables})


def read_config(path: str | os.PathLike[str]) -> PretrainRunConfig:
    """Read the file, with its relative paths made to start at its folder.

    Raises:
        InvalidInputError: it cannot be read, is not TOML, or says something that is not allowed.
    """
    source = Path(path)
    try:
        values = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(
            f"{str(path)!r} cannot be read: {error.strerror}; give a TOML file with data and out"
        ) from error
    except ValueError as error:
        raise InvalidInputError(f"{str(path)!r} is not TOML: {error}") from error
    folder = source.parent
    for name in ("data", "out"):
        if isinstance(values.get(name), str) and values[name]:
            values[name] = str(folder / values[name])
    for name in ("image", "text"):
        table = values.get(name)
        start = table.get("start") if isinstance(table, dict) else None
        if isinstance(start, str) and start and (folder / start).is_dir():
            values[name] = {**values[name], "start": str(folder / start)}
    try:
        return PretrainRunConfig.from_dict(values)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def _check_weights(table: str, weights: str, frozen: bool) -> None:
    if weights not in WEIGHTS:
        raise InvalidInputError(
            f"[{table}] weights must be one of {', '.join(WEIGHTS)}, got {weights!r}"
        )
    if frozen and weights == "random":
        raise InvalidInputError(f"[{table}] has random weights, so it cannot be frozen: train it")
