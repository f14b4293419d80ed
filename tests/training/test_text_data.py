"""The text corpus: held-out parts stay out."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

from videomm.training.image_data import ImageRow, load_split
from videomm.training.short_texts import short_texts
from videomm.training.text_data import (
    build_corpus,
    fill,
    is_msvd_val,
    is_val_word,
    load_imagenet_names,
    load_msvd,
    open_vocabulary_texts,
    replace_content_words,
    room_captions,
)

from .conftest import needs_data


def test_articles_follow_the_word() -> None:
    assert fill("a photo of a {}", "otter") == "a photo of an otter"
    assert fill("a {} on a {}", "cat", "apple") == "a cat on an apple"
    assert fill("{}", "a man") == "a man"


def test_msvd_val_is_every_twentieth_by_crc32() -> None:
    names = [f"video{i}" for i in range(2000)]
    assert [is_msvd_val(n) for n in names] == [zlib.crc32(n.encode()) % 20 == 0 for n in names]


def test_room_captions_leave_numbers_out() -> None:
    row = ImageRow("daquar", "0", "train", answers=("3", "garbage_bin, table", "oven"))
    assert room_captions(row) == [
        "an indoor room with a garbage bin",
        "an indoor room with a table",
        "an indoor room with an oven",
        "a room with a garbage bin and a table and an oven",
    ]


def test_replaced_words_are_content_words() -> None:
    rng = random.Random(0)
    for _ in range(20):
        changed = replace_content_words("a dog runs on the grass", ["zebu"], rng).split()
        assert [changed[0], changed[3], changed[4]] == ["a", "on", "the"]
        assert "zebu" in changed


def test_open_vocabulary_texts_use_every_word_and_are_seeded() -> None:
    words, captions = [f"word{c}" for c in "abcdefgh"], ["a dog runs", "two men sit"]
    first = open_vocabulary_texts(words, captions, random.Random(3))
    assert first == open_vocabulary_texts(words, captions, random.Random(3))
    assert all(any(word in text.split() for text in first) for word in words)


@needs_data
def test_nothing_held_out_is_trained_on(data: Path) -> None:
    words = [
        "zebra",
        "kitchen",
        *(f"qx{chr(97 + i)}{chr(97 + j)}" for i in range(26) for j in range(26)),
    ]
    corpus = build_corpus(data, words, seed=0)
    train = set(corpus.train)
    assert len(train) == len(corpus.train)
    assert not train & set(corpus.val_captions)
    assert not train & set(corpus.val_words)
    # Real words may stand in captions; made-up ones can only come from generated texts.
    held_words = {word for word in words if is_val_word(word) and word.startswith("qx")}
    assert held_words
    assert not any(held_words & set(text.split()) for text in train)
    test_captions = {
        caption for row in load_split(data, "test", ("flickr8k",)) for caption in row.captions
    }
    learned = load_split(data, "train", ("flickr8k",))
    known = {c for row in learned for c in (*row.captions, *short_texts(row.captions))}
    known |= set(load_msvd(data)[0])
    # A plain sentence may have been written twice; none came from the test rows alone.
    assert not (test_captions - known) & train


@needs_data
def test_imagenet_names_follow_the_backbones_order(data: Path) -> None:
    names = load_imagenet_names(data)
    assert len(names) == 1000
    assert names[0] == ["tench", "Tinca tinca"]
