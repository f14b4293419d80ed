"""Train a small ALBERT and the native small text tower from nothing, by the same loop, and compare.

    python benchmarks/text_towers.py --data ../shared/data
    python benchmarks/text_towers.py --data ../shared/data --steps 20 --json

Both learn from flickr8k's training pictures against the embedded model's image tower, whose trunk
is frozen: each picture goes through it once. ALBERT (Lan et al., 2020,
https://arxiv.org/abs/1909.11942) has a narrow token table and one layer that is run several times.
Retrieval on flickr8k's validation pictures, in percent. The last line is JSON with ``--json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AlbertConfig

from videomm.training.image_data import ImageArchive, ImageRow, load_rows
from videomm.training.pair_data import Features, pool_pictures
from videomm.training.pairs import Pairs, ValidationSet
from videomm.training.pretrain import PretrainConfig, PretrainData, pretrain
from videomm.training.pretrain_config import ImageStart, TextStart
from videomm.training.progress import seed_everything
from videomm.training.start import Start, build_model, join_towers, load_start, replace_text
from videomm.training.views import Pictures

SET = "flickr8k"
ALBERT: dict[str, Any] = {
    "embedding_size": 64,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_attention_heads": 8,
    "num_hidden_layers": 4,
    "num_hidden_groups": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
CONTEXT = 32
GOAL_RECALL, GOAL_SIZE = 1 / 2, 1 / 3  # ALBERT's share of the native tower's R@10 and parameters


@dataclass(frozen=True, eq=False)
class Given:
    """What the frozen trunk gives for the pictures, and their texts.

    Attributes:
        train: pooled features float32 (N, F).
        val: pooled features float32 (M, F).
        rows: of the training pictures.
        val_rows: of the validation pictures.
    """

    train: Tensor
    val: Tensor
    rows: list[ImageRow]
    val_rows: list[ImageRow]


def load_features(data: Path, start: Start, cache: Path, most: int) -> Given:
    """Run the trunk over the pictures, or read what an earlier call left in `cache`."""
    rows = load_rows(data, SET)
    train = [row for row in rows if row.split == "train"][:most]
    val = [row for row in rows if row.split == "val"]
    path = cache / f"{SET}_{len(train)}.pt"
    if not path.exists():
        pair = join_towers(start, ImageStart(frozen=True), frozen_text=False)
        archive = ImageArchive(data)
        parts = [
            pool_pictures(pair, Pictures(archive, part), progress=True) for part in (train, val)
        ]
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(parts, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    train_features, val_features = torch.load(path, weights_only=True)
    return Given(train_features, val_features, train, val)


def build_data(start: Start, given: Given) -> PretrainData:
    """Everything the loop reads, for the tokenizer of `start`."""
    captions = [list(dict.fromkeys(row.captions)) for row in given.rows + given.val_rows]
    texts = list(dict.fromkeys(text for one in captions for text in one))
    row = {text: place for place, text in enumerate(texts)}
    placed = [[row[text] for text in one] for one in captions]
    number = len(given.rows)
    used = torch.tensor(sorted({place for rows in placed[number:] for place in rows}))
    right = torch.stack([torch.isin(used, torch.tensor(rows)) for rows in placed[number:]])
    crops: Dataset[Tensor] = Features(given.train)
    return PretrainData(
        crops=crops,
        val_images=given.val,
        pairs=Pairs(placed[:number], torch.arange(number)),
        ids=start.tokenize(texts),
        validation=ValidationSet(torch.arange(len(given.val_rows)), used, right),
    )


def write_albert(folder: Path, start: Start) -> None:
    """A configuration and a tokenizer, the embedded model's, without weights."""
    tokenizer = start.tokenizer.tokenizer
    config = AlbertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT + 2,
        pad_token_id=tokenizer.pad_token_id,
        **ALBERT,
    )
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build_starts(start: Start, folder: Path) -> dict[str, Start]:
    """Both text towers with random weights, on the trained image tower."""
    seed_everything(0)
    untrained = build_model(start.config)
    untrained.visual = start.model.visual
    native = Start(untrained, start.config, start.preprocess, start.tokenizer, new_text=True)
    write_albert(folder, start)
    text = TextStart(start=str(folder), weights="random", context_length=CONTEXT)
    return {"native": native, "ALBERT": replace_text(start, text)}


def train_one(start: Start, given: Given, config: PretrainConfig, work: Path) -> dict[str, Any]:
    """Train a text tower, and the image tower's head with it, and measure both ways."""
    seed_everything(0)
    pair = join_towers(start, ImageStart(frozen=True), frozen_text=False)
    data = build_data(start, given)
    figures: dict[str, float] = {}

    def keep(stage: str, *, val: dict[str, float], **values: float) -> None:
        figures.update(val)

    begun = time.perf_counter()
    pretrain(pair, data, work / "checkpoint.pt", config, log=keep, progress=True)
    size = sum(p.numel() for p in start.text.parameters())
    return {"parameters": size, "seconds": round(time.perf_counter() - begun, 1), **figures}


def show(results: dict[str, dict[str, Any]]) -> bool:
    """Print the table; returns whether the goal is reached."""
    print(f"{'text tower':<12}{'parameters':>12}{'i2t R@10':>10}{'t2i R@10':>10}{'seconds':>9}")
    for name, row in results.items():
        figures = f"{row['i2t@10']:>10.1f}{row['t2i@10']:>10.1f}{row['seconds']:>9.0f}"
        print(f"{name:<12}{row['parameters']:>12,}{figures}")
    native, albert = results["native"], results["ALBERT"]
    size = albert["parameters"] / native["parameters"]
    recall = min(albert[key] / max(native[key], 1e-9) for key in ("i2t@10", "t2i@10"))
    reached = recall >= GOAL_RECALL and size < GOAL_SIZE
    print(
        f"ALBERT has {size:.0%} of the parameters and {recall:.0%} of the R@10 (the worse way): "
        f"goal {'reached' if reached else 'missed'}"
    )
    return reached


def parse_arguments(arguments: Sequence[str] | None) -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--cache", type=Path, help="where the frozen trunk's features are kept")
    parser.add_argument("--steps", type=int, default=300, help="of each training")
    parser.add_argument("--batch", type=int, default=64, help="pictures a step")
    parser.add_argument("--pictures", type=int, default=6000, help="to learn from at most")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--json", action="store_true", help="print JSON on the last line")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train both and compare; exit code 0, or 1 where the goal is missed."""
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    config = PretrainConfig(
        steps=options.steps,
        batch_size=options.batch,
        texts_per_image=1,
        lr=1e-3,
        text_lr=5e-4,
        token_table=True,
        warmup_steps=max(1, options.steps // 20),
        measure_every=options.steps,  # once: it takes as long as twenty steps
    )
    start = load_start(ImageStart())
    results = {}
    with tempfile.TemporaryDirectory() as work:
        features = load_features(options.data, start, options.cache or Path(work), options.pictures)
        for name, one in build_starts(start, Path(work) / "albert").items():
            folder = Path(work) / name
            results[name] = train_one(one, features, config, folder)
    reached = show(results)
    if options.json:
        print(json.dumps({"results": results, "goal_reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
