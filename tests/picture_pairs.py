"""Generated pictures with texts: a square or a disc of one colour on another, as the text says."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {
    "red": (200, 30, 30),
    "green": (30, 160, 40),
    "blue": (30, 60, 200),
    "white": (240, 240, 240),
}
SHAPES = ("square", "disc")


def write_pairs(folder: Path, number: int = 24) -> Path:
    """Write `pairs.jsonl` and that many pictures, each with two texts; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [kind for kind in product(SHAPES, COLOURS, COLOURS) if kind[1] != kind[2]]
    rows = []
    for place in range(number):
        shape, colour, ground = kinds[place % len(kinds)]
        image = Image.new("RGB", (80, 64), COLOURS[ground])
        draw = ImageDraw.Draw(image)
        left = 5 + 3 * (place // len(kinds))
        box = (left, 8, left + 45, 53)
        (draw.rectangle if shape == "square" else draw.ellipse)(box, fill=COLOURS[colour])
        image.save(folder / f"{place:03d}.png")
        texts = [f"a {colour} {shape} on {ground}", f"{ground} ground, {colour} {shape}"]
        rows.append({"path": f"{place:03d}.png", "text": texts})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "pairs.jsonl"


def write_albert(folder: Path, **settings: int) -> Path:
    """Write a small ALBERT's configuration and a tokenizer, without weights; returns the folder."""
    from transformers import AlbertConfig, AutoTokenizer

    from videomm.encoder import TINY_DIR

    tokenizer = AutoTokenizer.from_pretrained(TINY_DIR)
    shape = {"embedding_size": 16, "hidden_size": 32, "num_attention_heads": 2} | settings
    config = AlbertConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=2,
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=tokenizer.pad_token_id,
        **shape,
    )
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
