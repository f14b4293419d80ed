"""Tokenizer and text tower: what open_clip loads, and that padding does not matter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from videomm.training.distill import DistillConfig, distill, embed_ids, length_batches
from videomm.training.initialise import initialise_from_teacher
from videomm.training.teacher import encode, load_teacher
from videomm.training.text_tower import (
    SPECIAL_TOKENS,
    TextTowerConfig,
    build_text_tower,
    load_source_vocabulary,
    pooled_states,
    tokenize,
    trim_padding,
    trim_vocabulary,
    whole_words,
    write_tokenizer,
)

from .conftest import needs_teacher

TEXTS = ["a dog runs", "A zebra!", "two people sit on a bench in the old town", "x " * 60]


def test_vocabulary_keeps_ascii_pieces_and_orders_special_tokens_first() -> None:
    vocab = {"[PAD]": 0, "[unused0]": 1, "[UNK]": 2, "[CLS]": 3, "[SEP]": 4, "[MASK]": 5}
    vocab |= {"dog": 6, "##s": 7, "é": 8, "東": 9, "[": 10, "!": 11}
    assert trim_vocabulary(vocab) == [*SPECIAL_TOKENS, "dog", "##s", "[", "!"]
    assert whole_words(["dog", "##s", "ab", "3rd", "Dog"]) == ["dog"]


def test_batches_hold_every_row_once_and_are_seeded() -> None:
    lengths = torch.randint(3, 30, (103,), generator=torch.Generator().manual_seed(0))
    batches = length_batches(lengths, 10, seed=1)
    assert sorted(torch.cat(batches).tolist()) == list(range(103))
    again = length_batches(lengths, 10, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert max(int(lengths[b].max() - lengths[b].min()) for b in batches) < 15


@pytest.fixture(scope="module")
def small() -> TextTowerConfig:
    return TextTowerConfig(vocab_size=50, context_length=12, width=24, heads=2, layers=2)


def toy_ids(rows: int, length: int = 12) -> torch.Tensor:
    """Random sentences: [CLS] words [SEP] and padding."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.zeros(rows, length, dtype=torch.long)
    for row in ids:
        words = int(torch.randint(1, length - 2, (1,), generator=generator))
        row[0], row[words + 1] = 2, 3
        row[1 : words + 1] = torch.randint(5, 50, (words,), generator=generator)
    return ids


def test_padding_and_what_it_holds_do_not_change_the_embedding(small: TextTowerConfig) -> None:
    torch.manual_seed(0)
    tower = build_text_tower(small, 16).eval()
    ids = toy_ids(6)
    expected = tower(ids)
    assert torch.allclose(
        pooled_states(tower, trim_padding(ids)) @ tower.text_projection, expected, atol=1e-5
    )
    for row, wanted in zip(ids, expected, strict=True):
        alone = trim_padding(row.unsqueeze(0))
        assert torch.allclose(
            pooled_states(tower, alone) @ tower.text_projection, wanted, atol=1e-5
        )
    after_end = (ids == 3).cumsum(1).bool() & (ids != 3)
    other = torch.where(after_end, torch.full_like(ids, 7), ids)
    assert torch.allclose(tower(other), expected, atol=1e-5)


def test_three_steps_of_distillation_resume_to_the_same_weights(
    small: TextTowerConfig, tmp_path: Path
) -> None:
    ids = toy_ids(24)
    teacher = torch.nn.functional.normalize(torch.randn(24, 24), dim=-1).half().numpy()

    def train(name: str, config: DistillConfig) -> torch.Tensor:
        torch.manual_seed(1)
        tower = build_text_tower(small, 16)
        distill(tower, ids, teacher, tmp_path / name, config)
        return embed_ids(tower, ids)

    config = DistillConfig(epochs=1, batch_size=8, save_every=1, warmup_steps=1)
    whole = train("whole", config)
    interrupted(train, config)
    assert torch.equal(train("part", config), whole)


def interrupted(train: object, config: DistillConfig) -> None:
    """Run until the second step's checkpoint is written, then stop as a kill would."""
    from videomm.training import distill as module

    calls = 0
    save = module.save_atomic

    def save_and_stop(value: object, path: Path) -> None:
        nonlocal calls
        save(value, path)
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    module.save_atomic = save_and_stop
    try:
        with pytest.raises(KeyboardInterrupt):
            train("part", config)  # type: ignore[operator]
    finally:
        module.save_atomic = save


@needs_teacher
def test_tokenizer_in_the_folder_agrees_with_open_clips_loader(tmp_path: Path) -> None:
    from open_clip.tokenizer import HFTokenizer

    pieces = trim_vocabulary(load_source_vocabulary())
    written = write_tokenizer(tmp_path, pieces, 32)
    ours = tokenize(written, TEXTS, 32)
    theirs = HFTokenizer(str(tmp_path), context_length=32)(TEXTS)
    assert torch.equal(ours, theirs)
    assert ours[0].tolist()[:6] == [2, *(pieces.index(w) for w in ("a", "dog", "runs")), 3, 0]
    assert (ours == 3).sum(1).tolist() == [1, 1, 1, 1]
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["pad_token"] == "[PAD]"


@needs_teacher
def test_teacher_start_is_already_near_the_teacher() -> None:
    vocab = load_source_vocabulary()
    pieces = trim_vocabulary(vocab)
    tokenizer, teacher = load_teacher()
    config = TextTowerConfig(vocab_size=len(pieces))
    torch.manual_seed(0)
    tower = build_text_tower(config, 16)
    initialise_from_teacher(tower, tokenizer, teacher, [vocab[p] for p in pieces], TEXTS)
    target = encode(tokenizer, teacher, TEXTS[:3])
    assert torch.allclose(target.norm(dim=1), torch.ones(3), atol=1e-4)
    assert torch.isfinite(tower.token_embedding.weight).all()
