"""Measure the embedded model's captions on flickr8k, beside a published figure.

    python benchmarks/captions.py --data ../shared/data
    python benchmarks/captions.py --data ../shared/data --split val

BLEU and CIDEr-D by pycocoevalcap over five references, lower-case and without punctuation. Show,
Attend and Tell is the soft attention of Xu et al. 2015 (https://arxiv.org/abs/1502.03044, table 1)
on the test split. Scores are of all captions, the withheld ones too; the rows below split them up.
Captions of caltech101's things show whether the decoder sees people where there are none.
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

from videomm.encoder import FrameEncoder, load_encoder
from videomm.errors import ModelNotAvailableError
from videomm.evaluation.captions import CaptionScores, score_captions
from videomm.hub import load_decoder
from videomm.models.describer import Describer
from videomm.tasks.commonness import subject_words
from videomm.tasks.phrases import content_words, singular
from videomm.training.image_data import ImageArchive, ImageRow, load_split
from videomm.training.spatial import Places, view_of

FOLDER = Path(__file__).resolve().parent.parent / "videomm" / "weights" / "tiny"
PUBLISHED = {"BLEU-1": 67.0, "BLEU-4": 19.5}
EXAMPLES = 8
BATCH = 8  # pictures


def see(encoder: FrameEncoder, data: Path, rows: Sequence[ImageRow]) -> Places:
    """What the tower sees in pictures."""
    archive, parts = ImageArchive(data), []
    for start in range(0, len(rows), BATCH):
        views = [
            np.asarray(view_of(archive.read(row), 0, 0, encoder.image_size))
            for row in rows[start : start + BATCH]
        ]
        parts.append(encoder.encode_spatial(np.stack(views)).astype(np.float16))
    return np.concatenate(parts)


def describe_things(
    describer: Describer, places: Places, rows: Sequence[ImageRow]
) -> dict[str, float]:
    """Captions of pictures of things, in percent: those that name it, those that speak of people.

    Captioned pictures are mostly of people, so a decoder is tempted to find them everywhere.
    """
    captions, likelihoods = describer.caption(places)
    words = [content_words(caption) for caption in captions]
    people = {word for word, kind in subject_words().items() if kind == "people"}
    named = [singular(str(row.label).lower().split()[-1]) for row in rows]
    return {
        "named": 100 * float(np.mean([n in said for n, said in zip(named, words, strict=True)])),
        "people": 100 * float(np.mean([bool(people & said) for said in words])),
        "withheld": 100 * float(np.mean(likelihoods < describer.threshold)),
    }


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
        encoder = load_encoder(f"local-dir:{options.model}")
        describer = load_decoder(options.model, encoder)
    except ModelNotAvailableError as error:
        parser.error(str(error))
    rows = load_split(options.data, options.split, ("flickr8k",))
    places, references = see(encoder, options.data, rows), [row.captions for row in rows]
    started = time.monotonic()
    captions, likelihoods = describer.caption(places)
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
    rows = load_split(options.data, options.split, ("caltech101",))
    rows = [row for row in rows if row.label != "human face"]
    found = describe_things(describer, see(encoder, options.data, rows), rows)
    things = {name: round(value, 1) for name, value in found.items()}
    print(f"\ncaltech101 {options.split}, {len(rows)} things, in percent: {things}")
    examples = []
    print("\n| likelihood | caption | one of people's |\n|---|---|---|")
    for i in range(0, len(captions), max(1, len(captions) // EXAMPLES))[:EXAMPLES]:
        caption = captions[i] if said[i] else f"({captions[i]})"
        examples.append({"caption": captions[i], "said": bool(said[i]), "person": references[i][0]})
        print(f"| {likelihoods[i]:.2f} | {caption} | {references[i][0]} |")
    result = {"benchmark": "captions", "split": options.split, "settings": settings}
    print(json.dumps({**result, "figures": figures, "caltech101": things, "examples": examples}))
    missed = any(figures[name] < value for name, value in PUBLISHED.items())
    return int(options.split == "test" and missed)


if __name__ == "__main__":
    raise SystemExit(main())
