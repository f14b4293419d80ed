"""Measure the embedded model's captions on flickr8k, beside a published figure.

    python benchmarks/captions.py --data ../shared/data
    python benchmarks/captions.py --data ../shared/data --split val

BLEU and CIDEr-D by pycocoevalcap over five references, lower-case and without punctuation. Show,
Attend and Tell is the soft attention of Xu et al. 2015 (https://arxiv.org/abs/1502.03044, table 1)
on the test split. Scores are of all captions, the withheld ones too; the rows below split them up.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from videomm.encoder import load_encoder
from videomm.errors import ModelNotAvailableError
from videomm.evaluation.captions import CaptionScores, score_captions
from videomm.hub import Describer, load_decoder
from videomm.training.describe import caption_places
from videomm.training.image_data import ImageArchive, load_split
from videomm.training.spatial import Places, view_of

FOLDER = Path(__file__).resolve().parent.parent / "videomm" / "weights" / "tiny"
PUBLISHED = {"BLEU-1": 67.0, "BLEU-4": 19.5}
EXAMPLES = 8
BATCH = 8  # pictures


def see(folder: Path, data: Path, split: str) -> tuple[Describer, Places, list[tuple[str, ...]]]:
    """The decoder, what the tower sees in the split's pictures, and people's captions."""
    encoder = load_encoder(f"local-dir:{folder}")
    describer = load_decoder(folder, encoder)
    archive, rows = ImageArchive(data), load_split(data, split, ("flickr8k",))
    parts = []
    for start in range(0, len(rows), BATCH):
        views = [
            np.asarray(view_of(archive.read(row), 0, 0, encoder.image_size))
            for row in rows[start : start + BATCH]
        ]
        parts.append(encoder.encode_spatial(np.stack(views)).astype(np.float16))
    return describer, np.concatenate(parts), [row.captions for row in rows]


def figures_of(scores: CaptionScores) -> dict[str, float]:
    """Names and figures, in percent."""
    named = {f"BLEU-{n}": value for n, value in enumerate(scores.bleu, start=1)}
    named |= {"CIDEr-D": float(scores.cider.mean()), "repetition": 100 * scores.repetition}
    return {name: round(value, 1) for name, value in named.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; exit code 1 where a published figure is not reached on test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--model", type=Path, default=FOLDER, help="a folder with a decoder")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    options = parser.parse_args(arguments)
    try:
        describer, places, references = see(options.model, options.data, options.split)
    except ModelNotAvailableError as error:
        parser.error(str(error))
    started = time.monotonic()
    captions, likelihoods = caption_places(describer, places)
    seconds = time.monotonic() - started
    scores = score_captions(captions, references)
    said = likelihoods >= describer.threshold
    figures = figures_of(scores)
    figures["withheld"] = round(100 * float(1 - said.mean()), 1)
    for name, part in (("said", said), ("withheld", ~said)):
        if part.any():
            figures[f"CIDEr-D {name}"] = round(float(scores.cider[part].mean()), 1)
    figures["ms a caption"] = round(1000 * seconds / len(captions), 1)
    settings = {**describer.generation.to_dict(), "threshold": describer.threshold}
    print(", ".join(f"{name} {value}" for name, value in settings.items()))
    print(f"\n| flickr8k {options.split} | videomm | Show, Attend and Tell |\n|---|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:g} | {PUBLISHED.get(name, '')} |")
    examples = []
    print("\n| likelihood | caption | one of people's |\n|---|---|---|")
    for i in range(0, len(captions), max(1, len(captions) // EXAMPLES))[:EXAMPLES]:
        caption = captions[i] if said[i] else f"({captions[i]})"
        examples.append({"caption": captions[i], "said": bool(said[i]), "person": references[i][0]})
        print(f"| {likelihoods[i]:.2f} | {caption} | {references[i][0]} |")
    result = {"benchmark": "captions", "split": options.split, "settings": settings}
    print(json.dumps({**result, "figures": figures, "examples": examples}))
    missed = any(figures[name] < value for name, value in PUBLISHED.items())
    return int(options.split == "test" and missed)


if __name__ == "__main__":
    raise SystemExit(main())
