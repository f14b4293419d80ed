"""Which texts go with which image, as rows of one table of text embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from videomm.encoder import LABEL_TEMPLATES
from videomm.training.image_data import CAPTION_SETS, LABEL_SETS, ImageRow
from videomm.training.short_texts import short_texts
from videomm.training.text_data import (
    MORE_TEMPLATES,
    fill,
    load_imagenet_names,
    room_captions,
)


class TextTable:
    """Texts by row number, so that embeddings can be looked up.

    Args:
        texts: Distinct texts in the order of the embeddings' rows.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._row = {text: row for row, text in enumerate(texts)}

    def rows(self, texts: Sequence[str]) -> list[int]:
        """Row numbers; surrounding space does not count.

        Raises:
            KeyError: If a text has no embedding.
        """
        return [self._row[text.strip()] for text in texts]


def texts_of(row: ImageRow) -> list[str]:
    """All texts that are right for a training image."""
    if row.label is not None:
        # The ImageNet names were embedded in the plain prompts alone.
        more = MORE_TEMPLATES if row.set_name in LABEL_SETS else ()
        return [fill(template, row.label) for template in LABEL_TEMPLATES + more]
    return list(row.captions) if row.captions else room_captions(row)


def group_of(row: ImageRow) -> str:
    """Images of one group share all their texts: one label, or one image with its captions."""
    return row.label.lower() if row.label is not None else f"{row.set_name}/{row.file}"


@dataclass(frozen=True)
class Pairs:
    """Texts of each image.

    Attributes:
        text_rows: For each image, rows of the text table; at least one.
        groups: For each image, the number of its group, int64 (N,).
    """

    text_rows: list[list[int]]
    groups: Tensor

    def sample(
        self, images: Tensor, per_image: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw texts for a batch.

        Args:
            images: Image numbers (B,).
            per_image: Texts drawn for each image.
            generator: Source of randomness.

        Returns:
            Text rows int64 (B * per_image,) and which of them are right for which image, bool
            (B, B * per_image): those of the image's group, and equal texts of other groups.
        """
        picks = torch.rand(len(images), per_image, generator=generator)
        chosen = [
            [rows[int(p * len(rows))] for p in row_picks]
            for rows, row_picks in zip(
                (self.text_rows[i] for i in images.tolist()), picks.tolist(), strict=True
            )
        ]
        texts = torch.tensor(chosen)
        groups = self.groups[images]
        same_group = groups.unsqueeze(1) == groups.repeat_interleave(per_image).unsqueeze(0)
        flat = texts.flatten()
        same_text = (texts.unsqueeze(2) == flat.view(1, 1, -1)).any(1)
        return flat, same_group | same_text


def build_pairs(rows: Sequence[ImageRow], table: TextTable) -> Pairs:
    """Look up the texts of every image; images without any must be filtered out before."""
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(group_of(row), len(numbers)) for row in rows]
    return Pairs([table.rows(texts_of(row)) for row in rows], torch.tensor(groups))


def class_rows(data: Path, table: TextTable) -> list[list[int]]:
    """For each of ImageNet's 1,000 classes, the text rows of its names."""
    names = load_imagenet_names(data)
    return [table.rows([fill(LABEL_TEMPLATES[0], name) for name in of_class]) for of_class in names]


def class_embeddings(data: Path, table: TextTable, embeddings: Tensor) -> Tensor:
    """One embedding for each of ImageNet's classes: the mean over its names, (1000, D)."""
    means = [embeddings[rows].float().mean(0) for rows in class_rows(data, table)]
    return F.normalize(torch.stack(means), dim=-1)


@dataclass(frozen=True)
class ShortTexts:
    """Short texts of captioned images.

    Attributes:
        rows: For each image, rows of the text table; none where it has no captions.
    """

    rows: list[list[int]]

    def sample(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw a text for each image of a batch that has some.

        Args:
            images: Image numbers (B,).
            generator: Source of randomness.

        Returns:
            Places of the images in the batch (S,), their text rows (S,), and which of the texts
            are right for which image, bool (S, S).
        """
        picks = torch.rand(len(images), generator=generator).tolist()
        own = [(place, self.rows[image]) for place, image in enumerate(images.tolist())]
        own = [(place, rows) for place, rows in own if rows]
        texts = [rows[int(picks[place] * len(rows))] for place, rows in own]
        right = [[text in rows for text in texts] for rows in (set(rows) for _, rows in own)]
        places = torch.tensor([place for place, _ in own], dtype=torch.int64)
        square = torch.tensor(right, dtype=torch.bool).view(len(own), len(own))
        return places, torch.tensor(texts, dtype=torch.int64), square


def build_short_texts(rows: Sequence[ImageRow], table: TextTable) -> ShortTexts:
    """Look up the short texts of every image."""
    return ShortTexts([table.rows(short_texts(row.captions)) for row in rows])


@dataclass(frozen=True)
class LabelSet:
    """The labels of one set among the training images.

    Attributes:
        classes: The right class of each image, int64 (N,); -1 for images of other sets.
        rows: Text rows of the classes in the prompts (C, number of prompts).
    """

    classes: Tensor
    rows: Tensor


def build_label_sets(rows: Sequence[ImageRow], table: TextTable) -> list[LabelSet]:
    """One `LabelSet` for each set of `LABEL_SETS` that has images."""
    sets = []
    for name in LABEL_SETS:
        names = sorted({str(row.label) for row in rows if row.set_name == name})
        number = {label: index for index, label in enumerate(names)}
        classes = [number[str(r.label)] if r.set_name == name else -1 for r in rows]
        prompts = [table.rows([fill(t, label) for t in LABEL_TEMPLATES]) for label in names]
        if names:
            sets.append(LabelSet(torch.tensor(classes), torch.tensor(prompts)))
    return sets


@dataclass(frozen=True)
class ValidationSet:
    """What the validation images are measured against.

    Attributes:
        caption_images: Numbers of the images (N,) that have captions, among the rows.
        caption_rows: Text rows of their captions (T,).
        right: Which captions are right for which images, bool (N, T).
        labels: For each label set: image numbers, right classes, and the classes' text rows
            (C, number of prompts).
    """

    caption_images: Tensor
    caption_rows: Tensor
    right: Tensor
    labels: dict[str, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)


def build_validation(rows: Sequence[ImageRow], table: TextTable) -> ValidationSet:
    """Validation questions: flickr8k's captions, and each label set's own labels."""
    captioned = [i for i, row in enumerate(rows) if row.set_name == CAPTION_SETS[0]]
    captions = [table.rows(rows[i].captions[:5]) for i in captioned]
    labels = {}
    for name in LABEL_SETS:
        images = [i for i, row in enumerate(rows) if row.set_name == name]
        classes = sorted({str(rows[i].label) for i in images})
        truth = [classes.index(str(rows[i].label)) for i in images]
        prompts = [table.rows([fill(t, c) for t in LABEL_TEMPLATES]) for c in classes]
        labels[name] = (torch.tensor(images), torch.tensor(truth), torch.tensor(prompts))
    right = torch.eye(len(captioned), dtype=torch.bool).repeat_interleave(5, dim=1)
    return ValidationSet(torch.tensor(captioned), torch.tensor(captions).flatten(), right, labels)


def recall_at(scores: Tensor, right: Tensor, k: int) -> float:
    """Share of rows with a right column among the k best, in percent.

    Args:
        scores: Float (Q, C).
        right: Bool (Q, C).
        k: How many count.
    """
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return float(right.gather(1, best).any(1).float().mean()) * 100


def measure(images: Tensor, texts: Tensor, val: ValidationSet) -> dict[str, float]:
    """Retrieval and label figures on the validation images, in percent.

    Args:
        images: Image embeddings (N, D), L2-normalised.
        texts: The text table's embeddings in the same space (T, D), L2-normalised.
        val: The questions.

    Returns:
        ``i2t@k``, ``t2i@k`` for k = 1, 5, 10 and the top-1 accuracy of each label set.
    """
    scores = images[val.caption_images] @ texts[val.caption_rows].T
    figures = {f"i2t@{k}": recall_at(scores, val.right, k) for k in (1, 5, 10)}
    figures |= {f"t2i@{k}": recall_at(scores.T, val.right.T, k) for k in (1, 5, 10)}
    for name, (rows, truth, prompts) in val.labels.items():
        classes = F.normalize(texts[prompts].mean(1), dim=-1)
        figures[name] = float((images[rows] @ classes.T).argmax(1).eq(truth).float().mean()) * 100
    return {key: round(value, 2) for key, value in figures.items()}
