"""The text that the small text tower learns from: captions, labels and open vocabulary.

Captions teach how people describe pictures; the rest teaches words that no picture here shows, so
that a query outside the training text keeps the meaning that the sentence encoder gives it.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from videomm.encoder import LABEL_TEMPLATES
from videomm.training.image_data import CAPTION_SETS, LABEL_SETS, ImageRow, load_rows, load_split
from videomm.training.short_texts import short_texts

# Ways to write a label beside those that are averaged over when it is embedded.
MORE_TEMPLATES = (
    "a photo of a {}",
    "a {}",
    "the {}",
    "a close-up photo of a {}",
    "a black and white photo of {}",
    "a scene with {}",
    "people and {}",
    "this video shows {}",
)
WORD_TEMPLATES = ("{}", "a photo of a {}", "a person {}", "a video of {}", "the {} is here")
PAIR_TEMPLATES = ("{} {}", "a {} and a {}", "a {} {}", "a {} on a {}", "a {} with a {}")
STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "has",
        "have",
        "he",
        "her",
        "his",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "off",
        "on",
        "or",
        "out",
        "over",
        "she",
        "some",
        "that",
        "the",
        "their",
        "them",
        "there",
        "they",
        "this",
        "to",
        "two",
        "up",
        "was",
        "while",
        "who",
        "with",
    ]
)
MSVD_VAL_EVERY = 20
WORD_VAL_EVERY = 50


@dataclass(frozen=True)
class TextCorpus:
    """Distinct texts to embed, and which of them are held out.

    Attributes:
        train: Texts to distil from.
        val_captions: Captions of validation images and videos; none is in ``train``.
        val_words: Vocabulary words in templates; these words are in no generated text.
    """

    train: tuple[str, ...]
    val_captions: tuple[str, ...]
    val_words: tuple[str, ...]

    @property
    def all_texts(self) -> tuple[str, ...]:
        """Training texts, then held-out captions, then held-out words."""
        return self.train + self.val_captions + self.val_words


def is_msvd_val(video: str) -> bool:
    """Whether a video's captions are held out: its id hashes (crc32) to 0 mod 20."""
    return zlib.crc32(video.encode()) % MSVD_VAL_EVERY == 0


def is_val_word(word: str) -> bool:
    """Whether a vocabulary word is held out of generated texts."""
    return zlib.crc32(word.encode()) % WORD_VAL_EVERY == 0


def load_msvd(data: Path) -> tuple[list[str], list[str]]:
    """Video descriptions as (train, val)."""
    train: list[str] = []
    val: list[str] = []
    with (data / "text" / "msvd_captions.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            (val if is_msvd_val(row["video"]) else train).extend(row["captions"])
    return train, val


def load_imagenet_names(data: Path) -> list[list[str]]:
    """The names of the 1,000 classes in the backbone's order, synonyms included."""
    lines = (data / "weights" / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()
    return [[name.strip() for name in line.split(",")] for line in lines[1:]]


def with_article(phrase: str) -> str:
    """The phrase with ``a`` or ``an`` in front."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def fill(template: str, *words: str) -> str:
    """Fill a template, and put ``an`` where ``a`` would come before a vowel."""
    return re.sub(r"\ba (?=[aeiouAEIOU])", "an ", template.format(*words))


def room_captions(row: ImageRow, limit: int = 4) -> list[str]:
    """Plain sentences about an indoor picture from the answers to questions about it.

    Numbers are left out, as they mean nothing without their question.
    """
    answers = [part.strip() for answer in row.answers for part in answer.split(",")]
    things = list(dict.fromkeys(a.replace("_", " ") for a in answers if a and not a.isdigit()))
    captions = [f"an indoor room with {with_article(thing)}" for thing in things[:limit]]
    if len(things) > 1:
        captions.append("a room with " + " and ".join(with_article(t) for t in things[:3]))
    return captions


def label_names(data: Path) -> list[str]:
    """Distinct label texts of the label sets, in order."""
    rows = [row for name in LABEL_SETS for row in load_rows(data, name)]
    return list(dict.fromkeys(row.label for row in rows if row.label))


def replace_content_words(caption: str, words: Sequence[str], rng: random.Random) -> str:
    """Put random vocabulary words in the place of one to three content words."""
    tokens = caption.split()
    slots = [
        i for i, token in enumerate(tokens) if token.lower() not in STOP_WORDS and len(token) > 2
    ]
    for slot in rng.sample(slots, min(len(slots), rng.randint(1, 3))):
        tokens[slot] = rng.choice(words)
    return " ".join(tokens)


def open_vocabulary_texts(
    words: Sequence[str], captions: Sequence[str], rng: random.Random
) -> list[str]:
    """Generated texts that use the whole vocabulary.

    Args:
        words: Whole words of the tokenizer's vocabulary.
        captions: Sentences whose content words may be replaced.
        rng: Source of randomness.

    Returns:
        As many of each: words, words in a template, pairs of words, and captions with some words
        changed.
    """
    texts = list(words)
    texts += [fill(rng.choice(WORD_TEMPLATES[1:]), word) for word in words]
    texts += [fill(rng.choice(PAIR_TEMPLATES), word, rng.choice(words)) for word in words]
    changed = rng.sample(captions, min(len(captions), len(words)))
    texts += [replace_content_words(caption, words, rng) for caption in changed]
    return texts


def known_texts(data: Path) -> list[str]:
    """Texts that people wrote about the training data, and labels in templates."""
    captioned = load_split(data, "train", CAPTION_SETS)
    texts = [c for row in captioned for c in (*row.captions, *short_texts(row.captions))]
    rooms = load_split(data, "train", ("daquar",))
    texts += load_msvd(data)[0]
    texts += [question for row in rooms for question in row.questions]
    texts += [caption for row in rooms for caption in room_captions(row)]
    texts += [fill(t, name) for name in label_names(data) for t in LABEL_TEMPLATES + MORE_TEMPLATES]
    synonyms = [name for names in load_imagenet_names(data) for name in names]
    texts += [fill(template, name) for name in synonyms for template in LABEL_TEMPLATES]
    return texts


def distinct(texts: Iterable[str], leave_out: Iterable[str] = ()) -> tuple[str, ...]:
    """Non-empty texts without repeats, in order, less those to leave out."""
    forbidden = set(leave_out)
    return tuple(
        dict.fromkeys(t.strip() for t in texts if t.strip() and t.strip() not in forbidden)
    )


def build_corpus(data: Path, vocabulary_words: Sequence[str], *, seed: int) -> TextCorpus:
    """Collect and generate all the text.

    Args:
        data: The data folder.
        vocabulary_words: Whole words of the student's vocabulary.
        seed: Fixes the generated texts.

    Returns:
        The corpus; no held-out caption is among the training texts.
    """
    rng = random.Random(seed)
    val = [c for row in load_split(data, "val", CAPTION_SETS) for c in row.captions]
    val_captions = distinct(val + load_msvd(data)[1])
    train_words = [word for word in vocabulary_words if not is_val_word(word)]
    val_words = [word for word in vocabulary_words if is_val_word(word)]
    known = known_texts(data)
    captions = [c for row in load_split(data, "train", CAPTION_SETS) for c in row.captions]
    captions += distinct(load_msvd(data)[0])
    train = distinct(known + open_vocabulary_texts(train_words, captions, rng), val_captions)
    # A held-out caption that is also a training sentence would flatter the figure.
    known_set = set(train)
    held_words = distinct(fill(t, word) for word in val_words for t in WORD_TEMPLATES[:4])
    return TextCorpus(
        train=train,
        val_captions=tuple(c for c in val_captions if c not in known_set),
        val_words=tuple(t for t in held_words if t not in known_set),
    )
