"""Texts of images: what is drawn for a batch."""

from __future__ import annotations

import torch

from videomm.training.image_data import ImageRow
from videomm.training.pairs import ShortTexts, TextTable, build_short_texts


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_short_texts_are_drawn_for_images_that_have_some() -> None:
    short = ShortTexts([[10, 11], [], [11], [12]])
    seen = set()
    for seed in range(20):
        places, texts, right = short.sample(torch.tensor([3, 1, 0, 2]), drawn(seed))
        assert places.tolist() == [0, 2, 3]
        assert texts[[0, 2]].tolist() == [12, 11]
        assert texts[1] in (10, 11)
        wanted = [[text in short.rows[image] for text in texts.tolist()] for image in (3, 0, 2)]
        assert right.tolist() == wanted
        assert right.diagonal().all()
        seen.add(int(texts[1]))
    assert seen == {10, 11}


def test_a_batch_without_captions_has_no_short_texts() -> None:
    places, texts, right = ShortTexts([[], []]).sample(torch.tensor([1, 0]), drawn())
    assert places.shape == texts.shape == (0,)
    assert right.shape == (0, 0)


def test_short_texts_are_looked_up() -> None:
    table = TextTable(["a dog", "a dog running", "a cat"])
    captioned = ImageRow("flickr8k", "1.jpg", "train", captions=("A dog runs .",))
    labelled = ImageRow("sports100", "2.jpg", "train", label="judo")
    assert build_short_texts([labelled, captioned], table).rows == [[], [0, 1]]
