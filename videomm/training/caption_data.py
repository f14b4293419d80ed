"""Captions as the text decoder reads them: a vocabulary of common words, and packed batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor

from videomm.evaluation.captions import WORD_PATTERN, caption_words
from videomm.models.decoder import END, PAD, START, UNKNOWN
from videomm.tasks.phrases import indefinite
from videomm.training.image_data import ImageRow
from videomm.training.questions import ACTIVITIES, PictureQuestion
from videomm.training.spatial import Places

SPECIAL_TOKENS = {PAD: "[PAD]", UNKNOWN: "[UNK]", START: "[START]", END: "[END]"}
LONGEST = 23  # words of a caption that is trained on; one in two hundred is longer
SORTED_TOGETHER = 8  # batches


def build_tokenizer(captions: Sequence[str], min_count: int) -> Tokenizer:
    """A tokenizer of words as `caption_words` has them, the commonest first.

    Args:
        captions: Where words are counted.
        min_count: A word that comes less often is unknown.
    """
    counts = Counter(word for caption in captions for word in caption_words(caption))
    words = [word for word, count in counts.most_common() if count >= min_count]
    vocabulary = {word: i for i, word in enumerate([*SPECIAL_TOKENS.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL_TOKENS[UNKNOWN]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD_PATTERN), "removed", invert=True)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS.values()))
    return tokenizer


@dataclass(frozen=True)
class CaptionedPictures:
    """Pictures with what people wrote about them.

    Attributes:
        views: V views of all pictures, float16 (N, P, C) each.
        ids: N lists of captions, as ids between start and end; empty captions are left out.
        references: The same as text.
        questions: N lists of questions as ids, each with its answer between start and end behind.
    """

    views: Sequence[Places]
    ids: Sequence[Sequence[Sequence[int]]]
    references: Sequence[Sequence[str]]
    questions: Sequence[Sequence[Sequence[int]]] = ()


def captions_of(row: ImageRow) -> tuple[str, ...]:
    """What is right to say about a picture: its captions, or its label as it stands in a sentence.

    People who caption pictures are fond of people. A decoder that saw nothing but such captions
    finds "a man in a white shirt" in a lotus; labelled pictures teach it that there are others.
    The name of a sport is no caption: it would be said of every picture of people in motion.
    """
    if row.label is None:
        return row.captions
    return () if row.set_name in ACTIVITIES else (indefinite(row.label.lower()),)


def caption_ids(tokenizer: Tokenizer, references: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    """Ids of captions with start and end, the longest cut off without an end."""
    rows = []
    for captions in references:
        encoded = [encoding.ids for encoding in tokenizer.encode_batch(list(captions))]
        rows.append([[START, *ids, END][: LONGEST + 1] for ids in encoded if ids])
    return rows


def question_ids(
    tokenizer: Tokenizer, questions: Sequence[PictureQuestion], number: int
) -> list[list[list[int]]]:
    """Ids of questions and answers, a list for each of a number of pictures."""
    rows: list[list[list[int]]] = [[] for _ in range(number)]
    asked = tokenizer.encode_batch([q.question for q in questions])
    said = tokenizer.encode_batch([q.answer for q in questions])
    for question, prompt, answer in zip(questions, asked, said, strict=True):
        rows[question.picture].append([*prompt.ids, START, *answer.ids, END])
    return rows


def pack(rows: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor, Tensor]:
    """All texts of a picture in one row, so that they ask its places together.

    Args:
        rows: For each of B pictures its texts' ids with start and end, and a prompt before.

    Returns:
        Ids (B, L) without ends; segments (B, L), which text each belongs to; targets (B, L), the
        token after each, padding where nothing is to be learned: unknown words, and prompts.
    """
    length = max(sum(len(ids) - 1 for ids in row) for row in rows)
    inputs, segments, targets = (torch.full((len(rows), length), PAD) for _ in range(3))
    for i, row in enumerate(rows):
        place = 0
        for number, ids in enumerate(row):
            part = slice(place, place + len(ids) - 1)
            inputs[i, part] = torch.tensor(ids[:-1])
            targets[i, part] = torch.tensor(ids[1:])
            targets[i, place : place + ids.index(START)] = PAD
            segments[i, part] = number
            place = part.stop
        segments[i, place:] = len(row)
    return inputs, segments, targets.masked_fill_(targets == UNKNOWN, PAD)


def batches_of_epoch(lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """Row numbers in random order, rows of like length together, so that little is padded.

    Rows that fill no batch are left out of this epoch.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(lengths)).tolist()
    batches = []
    for start in range(0, len(rows), SORTED_TOGETHER * batch_size):
        part = sorted(rows[start : start + SORTED_TOGETHER * batch_size], key=lengths.__getitem__)
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    batches = [batch for batch in batches if len(batch) == batch_size]
    return [batches[i] for i in rng.permutation(len(batches))]
