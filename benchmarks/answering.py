"""Measure a trained decoder's answers about pictures, beside what questions alone give away.

    python -m videomm.training.describe --data DIR --work W --model M --out D --reward-steps 0
    python -m videomm.training.describe --data DIR --work W --model M --out B --blind
    python benchmarks/answering.py --data ../shared/data --decoder D --blind B

The questions are made from the captions of flickr8k's pictures of a split that nothing was trained
on (`videomm.training.questions`). The blind decoder has the same size and training, and sees no
picture. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from videomm.encoder import load_encoder
from videomm.evaluation.answers import accuracy, draw_questions, most_frequent
from videomm.hub import load_decoder
from videomm.training.image_data import CAPTION_SETS, ImageArchive, load_split
from videomm.training.questions import FAMILIES, make_questions
from videomm.training.spatial import cache_spatial

FOLDER = Path(__file__).resolve().parent.parent / "videomm" / "weights" / "tiny"
EXAMPLES = 3  # of each family
GAINS = {"blind": 10.0, "most frequent": 15.0}  # that are wanted over each


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; exit code 1 where a gain is not reached on test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--model", type=Path, default=FOLDER, help="the image tower's folder")
    parser.add_argument("--decoder", type=Path, required=True, help="the decoder's folder")
    parser.add_argument("--blind", type=Path, required=True, help="the blind decoder's folder")
    parser.add_argument("--work", type=Path, required=True, help="where places are kept")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--number", type=int, default=500, help="questions of each family at most")
    options = parser.parse_args(arguments)
    encoder = load_encoder(f"local-dir:{options.model}")
    rows = load_split(options.data, options.split, CAPTION_SETS[:1])
    places = cache_spatial(encoder, ImageArchive(options.data), rows, 0, options.work / "spatial")
    asked = draw_questions(make_questions([row.captions for row in rows], 1), options.number)
    learned = load_split(options.data, "train", CAPTION_SETS)
    common = most_frequent(make_questions([row.captions for row in learned], 0))
    decoder, blind = (load_decoder(folder, encoder) for folder in (options.decoder, options.blind))
    unseen = np.zeros((len(rows), 1, places.shape[2]), np.float16)
    figures, examples = {}, {}
    for family in FAMILIES:
        questions = asked[family]
        asked_of = [question.picture for question in questions]
        words = [question.question for question in questions]
        answers = decoder.answer(places[asked_of], words)
        said = {"decoder": answers, "blind": blind.answer(unseen[asked_of], words)}
        said["most frequent"] = [common[family]] * len(questions)
        figures[family] = {
            "questions": len(questions),
            **{name: round(accuracy(family, questions, a), 1) for name, a in said.items()},
        }
        examples[family] = [
            {"question": q.question, "answer": a, "right": sorted(q.right)}
            for q, a in zip(questions[:EXAMPLES], answers, strict=False)
        ]
    names = ("questions", "decoder", *GAINS)
    print("| family | " + " | ".join(names) + " |\n" + "|---" * 5 + "|")
    for family, row in figures.items():
        print(f"| {family} | " + " | ".join(f"{row[name]:g}" for name in names) + " |")
    print(
        json.dumps(
            {
                "benchmark": "answering",
                "split": options.split,
                "figures": figures,
                "examples": examples,
            }
        )
    )
    reached = all(
        row["decoder"] - row[name] >= gain
        for row in figures.values()
        for name, gain in GAINS.items()
    )
    return int(options.split == "test" and not reached)


if __name__ == "__main__":
    raise SystemExit(main())
