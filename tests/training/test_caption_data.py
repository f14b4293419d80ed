"""Captions as ids: words as the evaluation has them, packing, and batches of like length."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from videomm.evaluation.captions import caption_words
from videomm.models.decoder import END, PAD, START, UNKNOWN
from videomm.training.caption_data import (
    LONGEST,
    batches_of_epoch,
    build_tokenizer,
    caption_ids,
    captions_of,
    pack,
    question_ids,
)
from videomm.training.image_data import ImageRow
from videomm.training.questions import PictureQuestion


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF)) | st.text("aB-' .9s"))
def test_words_are_those_that_are_scored(text: str) -> None:
    tokenizer = build_tokenizer([text], 1)
    ids = tokenizer.encode(text).ids
    words = caption_words(text)
    assert [tokenizer.id_to_token(i) for i in ids] == words
    assert tokenizer.decode(ids) == " ".join(words)


def test_rare_words_are_unknown_and_common_ones_come_first() -> None:
    tokenizer = build_tokenizer(["A dog runs .", "a dog", "A cat"], 2)
    assert tokenizer.get_vocab_size() == 6
    assert tokenizer.encode("a dog runs").ids == [4, 5, UNKNOWN]


def test_ids_have_start_and_end_unless_they_are_too_long() -> None:
    tokenizer = build_tokenizer(["a dog"], 1)
    long = " ".join(["dog"] * 40)
    ((first, second),) = caption_ids(tokenizer, [["A dog!", "...", long]])
    assert first == [START, 4, 5, END] or first == [START, 5, 4, END]
    assert len(second) == LONGEST + 1
    assert second[-1] != END


def test_packed_captions() -> None:
    ids, segments, targets = pack([[[START, 7, END], [START, 8, UNKNOWN, END]], [[START, 9, END]]])
    assert ids.tolist() == [[START, 7, START, 8, UNKNOWN], [START, 9, PAD, PAD, PAD]]
    assert segments.tolist() == [[0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]
    assert targets.tolist() == [[7, END, 8, PAD, END], [9, END, PAD, PAD, PAD]]
    assert ids.dtype == torch.int64


def test_what_is_said_about_a_picture() -> None:
    def said(set_name: str, label: str | None, *captions: str) -> tuple[str, ...]:
        return captions_of(ImageRow(set_name, "x.webp", "train", captions, label))

    assert said("flickr8k", None, "A dog .", "Dogs .") == ("A dog .", "Dogs .")
    assert said("caltech101", "Garfield cartoon") == ("a garfield cartoon",)
    assert said("caltech101", "accordion") == ("an accordion",)
    assert said("intel_scenes", "buildings") == ("buildings",)
    assert said("sports100", "air hockey") == ()


def test_a_prompt_is_read_and_not_learned() -> None:
    ids, segments, targets = pack([[[START, 7, END], [8, 9, START, 5, END]]])
    assert ids.tolist() == [[START, 7, 8, 9, START, 5]]
    assert segments.tolist() == [[0, 0, 1, 1, 1, 1]]
    assert targets.tolist() == [[7, END, PAD, PAD, 5, END]]


def test_questions_stand_before_their_answers() -> None:
    tokenizer = build_tokenizer(["what runs a dog"], 1)
    question = PictureQuestion(1, "what", "what runs", "a dog", "dog", frozenset({"dog"}))
    none, (ids,) = question_ids(tokenizer, [question], 2)
    assert none == []
    words = [tokenizer.id_to_token(i) for i in ids]
    assert words == ["what", "runs", "[START]", "a", "dog", "[END]"]


@given(number=st.integers(4, 90), size=st.integers(1, 4), seed=st.integers(0, 9))
def test_batches_have_each_row_once_and_as_many_as_fit(number: int, size: int, seed: int) -> None:
    lengths = [(7 * i) % 13 for i in range(number)]
    batches = batches_of_epoch(lengths, size, seed)
    rows = [row for batch in batches for row in batch]
    assert len(set(rows)) == len(rows)
    assert all(len(batch) == size for batch in batches)
    assert len(batches) == number // size
    assert batches == batches_of_epoch(lengths, size, seed)


def test_rows_of_like_length_are_together() -> None:
    lengths = list(range(800))
    spread = [
        max(lengths[i] for i in batch) - min(lengths[i] for i in batch)
        for batch in batches_of_epoch(lengths, 10, 0)
    ]
    assert sum(spread) / len(spread) < 200
    assert batches_of_epoch(lengths, 10, 0) != batches_of_epoch(lengths, 10, 1)
