"""Classes that a run of the recipe is never shown, to see whether its vocabulary is open.

Their pictures are left out, and so is every caption, label, question and answer with their names,
of every set. What remains is what the sentence encoder knows of the words, and what the teacher's
posterior over ImageNet's 1,000 names says of other pictures.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from videomm.training.image_data import ImageRow, load_rows
from videomm.training.text_data import TextCorpus, known_texts, load_msvd

UNSEEN_SET, UNSEEN_EVERY = "caltech101", 5
OTHER_TEXTS_EVERY = 4


def unseen_classes(data: Path) -> tuple[str, ...]:
    """Every fifth of caltech101's labels in their alphabetical order: 20 of 100."""
    labels = {str(row.label) for row in load_rows(data, UNSEEN_SET)}
    return tuple(sorted(labels)[::UNSEEN_EVERY])


def naming(names: Iterable[str]) -> re.Pattern[str]:
    """Matches texts that have one of the names in them as whole words, plurals included."""
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})(?:e?s)?\b", re.IGNORECASE)


def leave_out(rows: Iterable[ImageRow], names: Sequence[str]) -> list[ImageRow]:
    """Rows without the captions that name any of these, and no row whose label or answers do.

    Args:
        rows: Images with what is written about them.
        names: Of the classes.
    """
    pattern = naming(names)
    kept = []
    for row in rows:
        if row.label is not None and pattern.search(row.label):
            continue
        if any(pattern.search(text.replace("_", " ")) for text in row.questions + row.answers):
            continue
        captions = tuple(caption for caption in row.captions if not pattern.search(caption))
        kept.append(replace(row, captions=captions))
    return kept


def hold_out(corpus: TextCorpus, names: Sequence[str], data: Path) -> TextCorpus:
    """The corpus with every training text that has one of the names among the held-out ones.

    Of texts that belong to no picture every fourth is kept, which makes the run shorter.
    """
    pattern = naming(names)
    # Some texts are of a video and of a picture.
    of_pictures = Counter(known_texts(data)) - Counter(load_msvd(data)[0])
    held = tuple(t for t in corpus.train if t in of_pictures and pattern.search(t))
    train = tuple(
        text
        for text in corpus.train
        if not pattern.search(text)
        and (text in of_pictures or zlib.crc32(text.encode()) % OTHER_TEXTS_EVERY == 0)
    )
    return replace(corpus, train=train, val_words=corpus.val_words + held)
