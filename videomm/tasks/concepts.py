"""What can be put into words: a bank of concepts, scored by the encoder.

For the encoder that the calibration file belongs to, a concept is said where its cosine reaches
its section's threshold and is more than with any picture that shows nothing (noise, stripes):
`benchmarks/calibrate_bank.py` chooses the thresholds. Cosines of other encoders are of another
size, so there concepts are only ranked within the bank, and the result says so.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from videomm.cache import TimelineCache
from videomm.encoder import FrameEncoder
from videomm.errors import InvalidInputError
from videomm.tasks.phrases import as_sentence
from videomm.types import Array, Timeline

SECTIONS = ("objects", "scenes", "actions")
TEMPLATES = {
    "objects": ("{}", "a photo of {}"),
    "scenes": ("{}", "a photo taken {}"),
    "actions": ("{}", "a photo of {}"),
}
# How many of a section are said of one stretch of video, at most.
MOST_SAID = {"objects": 2, "scenes": 1, "actions": 1}
# Two concepts whose vectors, less the bank's mean, are this close say the same thing.
_SAME_MEANING = 0.5
# The thresholds are chosen for the best of a section; the next must come this close to it.
_NEXT_SHARE = 0.85
# How much nearer than to a picture that shows nothing a concept has to be.
_NONSENSE_MARGIN = 0.02

_ASSETS = Path(__file__).parent.parent / "assets"
BANK_FILE = _ASSETS / "concepts.txt"
CALIBRATION_FILE = _ASSETS / "concepts_tiny.safetensors"


@dataclass(frozen=True)
class Bank:
    """Concepts in plain words.

    Attributes:
        entries: such as `a dog`, `on a beach`, `riding a horse`.
        sections: the section of each, one of `SECTIONS`.
    """

    entries: tuple[str, ...]
    sections: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def digest(self) -> str:
        """Names the content: other entries or templates, another digest."""
        content = json.dumps([self.entries, self.sections, TEMPLATES])
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def read_bank(path: str | os.PathLike[str] | None = None) -> Bank:
    """Read a bank: UTF-8, one entry a line below the headings `[objects]`, `[scenes]`, `[actions]`.

    Args:
        path: a file in that form; None reads the one that comes with videomm. Empty lines and
            lines that begin with `#` say nothing.

    Raises:
        InvalidInputError: the file cannot be read, an entry stands twice or under no heading, a
            heading is unknown, or there are no entries.
    """
    source = Path(path) if path is not None else BANK_FILE
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"the bank {str(source)!r} cannot be read: {error}; expected a UTF-8 text file"
        ) from error
    entries: dict[str, str] = {}
    section = ""
    for number, line in enumerate(lines, start=1):
        entry = " ".join(line.split())
        where = f"{source}, line {number}"
        if not entry or entry.startswith("#"):
            continue
        if entry.startswith("[") and entry.endswith("]"):
            section = entry[1:-1].strip().lower()
            if section not in SECTIONS:
                raise InvalidInputError(
                    f"{where}: unknown heading {entry!r}; allowed: [objects], [scenes], [actions]"
                )
        elif not section:
            raise InvalidInputError(
                f"{where}: {entry!r} stands before the first heading; begin with [objects], "
                "[scenes] or [actions]"
            )
        elif entry in entries:
            raise InvalidInputError(f"{where}: {entry!r} stands in the bank twice; remove one")
        else:
            entries[entry] = section
    if not entries:
        raise InvalidInputError(
            f"the bank {str(source)!r} has no entries; write one a line below [objects], [scenes] "
            "or [actions]"
        )
    return Bank(tuple(entries), tuple(entries.values()))


@dataclass(frozen=True, eq=False)
class Calibration:
    """From which cosine on a concept may be said, for one encoder.

    Attributes:
        encoder: id of the encoder that it belongs to.
        bank: digest of the bank that comes with it.
        vectors: float32 (M, D), that bank's text vectors, so that they need not be made anew.
        nonsense: float32 (K, D), embeddings of pictures that show nothing.
        thresholds: least cosine to be said, by section.
    """

    encoder: str
    bank: str
    vectors: Array
    nonsense: Array
    thresholds: dict[str, float]


def load_calibration(path: Path = CALIBRATION_FILE) -> Calibration | None:
    """The calibration that comes with videomm, or None where there is no such file."""
    if not path.is_file():
        return None
    with safe_open(path, "numpy") as file:
        facts: dict[str, str] = file.metadata()
        vectors, nonsense = (_unit(file.get_tensor(name)) for name in ("vectors", "nonsense"))
    thresholds: dict[str, float] = json.loads(facts["thresholds"])
    return Calibration(facts["encoder"], facts["bank"], vectors, nonsense, thresholds)


def save_calibration(calibration: Calibration, path: Path = CALIBRATION_FILE) -> None:
    """Write what `load_calibration` reads; vectors in half precision."""
    facts = {
        "encoder": calibration.encoder,
        "bank": calibration.bank,
        "thresholds": json.dumps(calibration.thresholds),
    }
    tensors = {"vectors": calibration.vectors, "nonsense": calibration.nonsense}
    path.write_bytes(save({k: v.astype(np.float16) for k, v in tensors.items()}, facts))


def _unit(rows: Array) -> Array:
    rows = rows.astype(np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-8))


@dataclass(frozen=True)
class Concept:
    """One entry of a bank that holds for a stretch of video, and its score."""

    text: str
    section: str
    score: float


@dataclass(frozen=True, eq=False)
class EmbeddedBank:
    """A bank in an encoder's space.

    Attributes:
        bank: M concepts.
        vectors: float32 (M, D), L2-normalised.
        calibration: of this encoder, or None.
    """

    bank: Bank
    vectors: Array
    calibration: Calibration | None

    def scores(self, pictures: Array) -> Array:
        """Cosines of pictures or stretches (S, D) with all concepts: float (S, M)."""
        return np.asarray(np.asarray(pictures) @ self.vectors.T)

    def say(self, pictures: Array) -> list[list[Concept]]:
        """What holds for each of S stretches (S, D): by section, best first, no synonyms.

        With a calibration only what reaches its `least`, so it may be nothing; without one
        always the best ranks.
        """
        return [self._best(row) for row in self.scores(pictures)]

    @cached_property
    def _centred(self) -> Array:
        return _unit(self.vectors - self.vectors.mean(axis=0))

    @cached_property
    def least(self) -> Array:
        """float32 (M,): from which cosine on each concept may be said."""
        if self.calibration is None:
            return np.full(len(self.bank), -np.inf, np.float32)
        thresholds = [self.calibration.thresholds[section] for section in self.bank.sections]
        empty = (self.vectors @ self.calibration.nonsense.T).max(axis=1) + _NONSENSE_MARGIN
        return np.maximum(np.array(thresholds, np.float32), empty)

    def _columns(self, section: str) -> Array:
        return np.flatnonzero(np.array(self.bank.sections) == section)

    def _best(self, scores: Array) -> list[Concept]:
        out: list[Concept] = []
        for section in SECTIONS:
            columns = self._columns(section)
            columns = columns[scores[columns] >= self.least[columns]]
            said: list[int] = []
            for place in columns[np.argsort(-scores[columns], kind="stable")]:
                if len(said) == MOST_SAID[section]:
                    break
                if said and self.calibration and scores[place] < _NEXT_SHARE * scores[said[0]]:
                    break
                if all(
                    self._centred[place] @ self._centred[other] < _SAME_MEANING for other in said
                ):
                    said.append(int(place))
            out += [Concept(self.bank.entries[i], section, float(scores[i])) for i in said]
        return out


def get_bank(
    encoder: FrameEncoder,
    path: str | os.PathLike[str] | None = None,
    cache: TimelineCache | None = None,
) -> EmbeddedBank:
    """A bank in an encoder's space, with the calibration where there is one for it.

    Args:
        encoder: makes the vectors, unless they come with videomm or are in the cache.
        path: as for `read_bank`.
        cache: where vectors are kept.

    Raises:
        InvalidInputError: the bank cannot be read.
    """
    bank = read_bank(path)
    calibration = load_calibration()
    if calibration is not None and calibration.encoder != encoder.id:
        calibration = None
    if calibration is not None and calibration.bank == bank.digest:
        vectors = calibration.vectors
    elif cache is None:
        vectors = embed_bank(bank, encoder)
    else:
        vectors = _kept_vectors(bank, encoder, cache)
    return EmbeddedBank(bank, vectors, calibration)


def embed_bank(bank: Bank, encoder: FrameEncoder) -> Array:
    """The bank's text vectors, float32 (M, D), each averaged over its section's templates."""
    vectors = np.zeros((len(bank), encoder.dim), np.float32)
    sections = np.array(bank.sections)
    for section in SECTIONS:
        places = np.flatnonzero(sections == section)
        if len(places):
            texts = [bank.entries[i] for i in places]
            vectors[places] = encoder.encode_text(texts, TEMPLATES[section])
    return vectors


def _kept_vectors(bank: Bank, encoder: FrameEncoder, cache: TimelineCache) -> Array:
    """`embed_bank`, but only once for an encoder and a bank: kept as a timeline of texts."""
    # The encoder's id names its image tower; the first entry's vector stands for its text tower.
    probe = encoder.encode_text(bank.entries[:1]).astype(np.float16)
    content = f"{encoder.id} {bank.digest}".encode() + probe.tobytes()
    key = f"bank-{hashlib.blake2b(content, digest_size=16).hexdigest()}"
    kept = cache.get(key, "<bank>")
    if kept is not None and kept.embeddings.shape == (len(bank), encoder.dim):
        return kept.embeddings
    vectors = embed_bank(bank, encoder)
    times = np.arange(len(bank), dtype=np.float64)
    cache.put(key, Timeline(vectors, times, len(bank), encoder.id, "<bank>", "none", "", {}))
    return vectors


def join_words(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = items
    return f"{', '.join(head)} and {last}" if head else last


def describe(concepts: Sequence[Concept]) -> str:
    """Concepts as one sentence, such as `A dog and a ball, on a beach; running.`"""
    parts = {name: [c.text for c in concepts if c.section == name] for name in SECTIONS}
    objects = join_words(parts["objects"]) if parts["objects"] else ""
    place = ", ".join(filter(None, [objects, *parts["scenes"]]))
    return as_sentence("; ".join(filter(None, [place, *parts["actions"]])))
