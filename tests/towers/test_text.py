"""The text tower and its tokenizer: as open_clip's."""

from __future__ import annotations

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import get_clean_fn
from open_clip.transformer import TextTransformer

from videomm.encoder import TINY_DIR
from videomm.towers.text import TextTower, clean, load_tokenizer

TEXTS = [
    "a cat",
    "A Cat's  café &amp; tea,\tat 9:30!",
    "“quoted” ﬁne schÃ¶n\nnew line",
    "日本 ✓ [MASK] x",
    "word " * 60,
    "",
]


@torch.inference_mode()
def test_the_tower_gives_what_open_clips_gives_whatever_stands_behind_the_end() -> None:
    theirs = TextTransformer(
        context_length=9, vocab_size=50, width=16, heads=2, layers=2, output_dim=8,
        pool_type="eos", eos_id=3,
    ).eval()  # fmt: skip
    ours = TextTower(
        8, vocab_size=50, context_length=9, width=16, heads=2, layers=2, eos_id=3
    ).eval()
    ours.load_state_dict(theirs.state_dict())
    ids = torch.randint(4, 50, (4, 9))
    for row, end in enumerate((2, 5, 3, 4)):
        ids[row, end] = 3
    torch.testing.assert_close(ours(ids), theirs(ids), atol=1e-5, rtol=1e-4)
    changed = ids.clone()
    changed[0, 3:] = 0
    torch.testing.assert_close(ours(changed)[0], ours(ids)[0], atol=1e-5, rtol=1e-4)


@settings(max_examples=40)
@given(st.text() | st.text("ab &;lt\t\n\x1b[0m#39\x7f", max_size=20))
def test_texts_are_cleaned_as_open_clip_cleans_them(text: str) -> None:
    assert clean(text) == get_clean_fn("whitespace")(text)


@pytest.mark.slow
def test_the_tokenizer_gives_what_open_clips_gives() -> None:
    theirs = open_clip.get_tokenizer(f"local-dir:{TINY_DIR.resolve()}")
    ours = load_tokenizer(TINY_DIR / "tokenizer.json", 32)
    assert (ours(TEXTS) == theirs(TEXTS)).all()
