"""From which cosine on may a concept be said? Chosen on pictures, for the embedded encoder.

A concept must be nearer to a picture than it is to any of 200 pictures that show nothing (noise,
flat colours, gradients, stripes, checks). Of the concepts that are, each picture of flickr8k (val;
five captions) and of the val parts of caltech101, sports100 and intel_scenes (one label) is given
the best one of each section. It counts as borne out where all its telling words stand in a caption
or the label: a strict reading, since a caption need not mention everything. A section's threshold
is the least cosine from which on at least half of what is said is borne out. What is then said of
200 other pictures that show nothing is reported as well.

    python benchmarks/calibrate_bank.py [--data DIR] [--count 1000] [--write] [--json]

`--write` stores the thresholds and the bank's vectors in videomm/assets/concepts_tiny.safetensors,
to be done again whenever the weights of `tiny` or the bank change. JSON on the last line.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from videomm.encoder import FrameEncoder, load_encoder
from videomm.tasks.concepts import (
    SECTIONS,
    Bank,
    Calibration,
    EmbeddedBank,
    embed_bank,
    read_bank,
    save_calibration,
)
from videomm.types import Array

DATA = Path(os.environ.get("VIDEOMM_DATA", "../shared/data"))
# Which sets say something about which section.
SETS = {
    "objects": ("flickr8k", "caltech101"),
    "scenes": ("flickr8k", "intel_scenes"),
    "actions": ("flickr8k", "sports100"),
}
BORNE_OUT = 0.5
# A share of fewer statements says little.
LEAST_STATEMENTS = 20
SIDE = 224

_EMPTY_TEXT = (
    "a an the of in on at with to and or for from by into under over through some someone "
    "something person people group his her its up out is are as close play rid do "
    "mak tak us hav perform practis seen"
)
_EMPTY_WORDS = frozenset(_EMPTY_TEXT.split())


@dataclass(frozen=True)
class Labelled:
    """A picture's file and everything that is written about it."""

    data: bytes
    words: str


def val_pictures(data: Path, name: str, count: int) -> list[Labelled]:
    """The val part of an image set, or every tenth train row where there is none."""
    rows = [json.loads(line) for line in (data / "images" / f"{name}.jsonl").open()]
    if any(row["split"] == "val" for row in rows):
        kept = [row for row in rows if row["split"] == "val"]
    else:
        kept = [row for i, row in enumerate(rows) if row["split"] == "train" and i % 10 == 0]
    step = max(len(kept) / count, 1.0)
    kept = [kept[int(i * step)] for i in range(min(count, len(kept)))]
    files = read_members(data / "images" / f"{name}.tar", {row["file"] for row in kept})
    return [
        Labelled(
            files[row["file"]], " ".join([*row.get("captions", []), row.get("label_text", "")])
        )
        for row in kept
    ]


def read_members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """Some files of a tar archive."""
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name in wanted else None
            if file is not None:
                found[member.name] = file.read()
    return found


def encode(pictures: list[Labelled], encoder: FrameEncoder) -> Array:
    """float32 (N, D): the middle square of each picture."""
    frames = []
    for item in pictures:
        picture = Image.open(io.BytesIO(item.data)).convert("RGB")
        short = min(picture.size)
        left, top = (picture.width - short) / 2, (picture.height - short) / 2
        box = (left, top, left + short, top + short)
        frames.append(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))
    return encoder.encode_frames(np.stack([np.asarray(frame) for frame in frames]))


def nonsense_pictures(seed: int, count: int = 200) -> Array:
    """uint8 (count, 224, 224, 3): noise, flat colours, gradients, stripes and checks."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    out = []
    for index in range(count):
        colours = rng.integers(0, 256, (2, 3))
        step = int(rng.integers(4, 60))
        mask: Array
        if index % 5 == 0:
            # From fine noise to coarse blots.
            grain = int(rng.integers(4, SIDE))
            noise = rng.integers(0, 256, (grain, grain, 3)).astype(np.uint8)
            picture = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            out.append(np.asarray(picture))
            continue
        if index % 5 == 1:
            mask = np.zeros((SIDE, SIDE))
        elif index % 5 == 2:
            mask = (rows * rng.random() + columns * rng.random()) / (2 * SIDE)
        elif index % 5 == 3:
            mask = (columns // step) % 2
        else:
            mask = (rows // step + columns // step) % 2
        mixed = colours[0] * (1 - mask[..., None]) + colours[1] * mask[..., None]
        out.append(mixed.astype(np.uint8))
    return np.stack(out)


def stem(word: str) -> str:
    """A word without its common endings, so that `dogs` is `dog` and `riding` is `ride`."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("ing") and len(word) > 5:
        word = word[:-3]
        return word[:-1] if len(word) > 2 and word[-1] == word[-2] else word
    for ending in ("es", "s", "ed", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def telling_words(text: str) -> set[str]:
    """Stems of a text's words, less those that tell nothing."""
    return {stem(word) for word in re.findall(r"[a-z]+", text.lower())} - _EMPTY_WORDS


def borne_out(concept: str, text: str) -> bool:
    """Whether all telling words of a concept stand in a text, long ones also within another."""
    words, joined = telling_words(text), text.lower().replace(" ", "")
    wanted = telling_words(concept)
    return bool(wanted) and all(w in words or (len(w) >= 5 and w in joined) for w in wanted)


def best_of_section(embedded: EmbeddedBank, pictures: Array, section: str) -> tuple[Array, Any]:
    """Cosine (N,) and name of the best concept for pictures (N, D); -1 where none may be said."""
    columns = np.flatnonzero(np.array(embedded.bank.sections) == section)
    cosines = embedded.scores(pictures)[:, columns]
    allowed = np.where(cosines >= embedded.least[columns], cosines, -1.0)
    best = allowed.argmax(axis=1)
    names = [embedded.bank.entries[columns[i]] for i in best]
    return allowed[np.arange(len(pictures)), best], names


def choose(cosines: Array, right: Array) -> dict[str, float]:
    """The threshold of a section, and what it does.

    Args:
        cosines: (N,) of the best concepts, -1 where none may be said.
        right: bool (N,), whether each is borne out.
    """
    order = np.argsort(-cosines)
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((shares >= BORNE_OUT) & (cosines[order] > -1))
    last = int(good[-1]) if len(good) and good[-1] >= LEAST_STATEMENTS else LEAST_STATEMENTS
    least = float(cosines[order[last]])
    said = cosines >= least
    return {
        "threshold": round(least, 4),
        "said": round(float(said.mean()), 4),
        "borne_out": round(float(right[said].mean()), 4),
        "borne_out_if_always_said": round(float(right.mean()), 4),
    }


def calibrate(
    embedded: EmbeddedBank, sets: dict[str, tuple[list[Labelled], Array]]
) -> dict[str, dict[str, float]]:
    """Threshold and measures of each section."""
    rows = {}
    for section in SECTIONS:
        cosines, right = [], []
        for name in SETS[section]:
            pictures, vectors = sets[name]
            best, names = best_of_section(embedded, vectors, section)
            cosines.append(best)
            right += [borne_out(n, p.words) for n, p in zip(names, pictures, strict=True)]
        rows[section] = choose(np.concatenate(cosines), np.array(right))
    return rows


def build(
    encoder: FrameEncoder, bank: Bank, sets: dict[str, tuple[list[Labelled], Array]]
) -> tuple[Calibration, dict[str, Any]]:
    """The calibration, and its measures."""
    vectors, empty = embed_bank(bank, encoder), encoder.encode_frames(nonsense_pictures(0))
    free = dict.fromkeys(SECTIONS, -1.0)
    calibration = Calibration(encoder.id, bank.digest, vectors, empty, free)
    rows: dict[str, Any] = dict(calibrate(EmbeddedBank(bank, vectors, calibration), sets))
    thresholds = {section: float(rows[section]["threshold"]) for section in SECTIONS}
    calibration = replace(calibration, thresholds=thresholds)
    said = EmbeddedBank(bank, vectors, calibration).say(encoder.encode_frames(nonsense_pictures(1)))
    rows["nonsense_said"] = round(sum(map(bool, said)) / len(said), 4)
    return calibration, rows


def main() -> None:
    """Choose, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--count", type=int, default=1000, help="pictures of a set, at most")
    parser.add_argument("--write", action="store_true", help="store the calibration")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON line")
    args = parser.parse_args()
    encoder, bank = load_encoder("tiny"), read_bank()
    sets = {}
    for name in sorted({name for names in SETS.values() for name in names}):
        pictures = val_pictures(args.data, name, args.count)
        sets[name] = (pictures, encode(pictures, encoder))
    calibration, rows = build(encoder, bank, sets)
    report = {"model": encoder.id, "bank": bank.digest, "concepts": len(bank)}
    report |= {"pictures": {name: len(pictures) for name, (pictures, _) in sets.items()}, **rows}
    if args.write:
        save_calibration(calibration)
    if not args.json:
        for key, value in report.items():
            print(f"{key}: {value}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
