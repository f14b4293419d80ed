"""Captions against people's: BLEU, CIDEr-D, and how often a caption repeats itself.

Scored by pycocoevalcap, as published figures on flickr8k and COCO are: corpus BLEU without
smoothing and with the closest reference's length (Papineni et al. 2002,
https://aclanthology.org/P02-1040), and CIDEr-D (Vedantam et al. 2015,
https://arxiv.org/abs/1411.5726). Its own tokenizer needs Java; here words are lower-case, without
punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Letters and digits with hyphens within, and the clitic of "man's"; the rest is punctuation.
WORD_PATTERN = r"'s\b|[a-z0-9]+(?:-[a-z0-9]+)*"
_WORD = re.compile(WORD_PATTERN)


@dataclass(frozen=True)
class CaptionScores:
    """Figures of captions.

    Attributes:
        bleu: BLEU-1 to BLEU-4 of all captions together, in percent.
        cider: CIDEr-D of each caption, float64 (N,), in percent: published tables have the mean.
        repetition: share of captions in which some three words in a row come twice.
    """

    bleu: tuple[float, float, float, float]
    cider: npt.NDArray[np.float64]
    repetition: float


def caption_words(caption: str) -> list[str]:
    """Lower-case words without punctuation; ``'s`` is a word, a hyphened word is one."""
    return _WORD.findall(caption.lower())


def score_captions(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Compare one caption a picture with those that people wrote.

    Args:
        captions: N captions.
        references: N times one or more; rare words count for more in CIDEr, rare among these.

    Raises:
        ValueError: If there are no captions, or numbers do not fit.
        ModuleNotFoundError: If pycocoevalcap is not installed.
    """
    if not captions or len(captions) != len(references) or not all(references):
        raise ValueError(
            "every caption needs one or more references, got "
            f"{len(captions)} captions and {len(references)} lists of references"
            f"{'' if all(references) else ', some of them empty'}"
        )
    bleu_scorer, cider_scorer = _scorers()
    given = {i: [" ".join(caption_words(caption))] for i, caption in enumerate(captions)}
    wanted = {i: [" ".join(caption_words(one)) for one in row] for i, row in enumerate(references)}
    bleu, _ = bleu_scorer.compute_score(wanted, given, verbose=0)
    _, cider = cider_scorer.compute_score(wanted, given)
    first, second, third, fourth = (100 * float(value) for value in bleu)
    return CaptionScores(
        bleu=(first, second, third, fourth),
        cider=100 * np.asarray(cider, np.float64),
        repetition=float(np.mean([repeats(caption_words(caption)) for caption in captions])),
    )


def repeats(words: Sequence[str], length: int = 3) -> bool:
    """Whether some `length` words in a row come twice."""
    grams = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    return len(set(grams)) < len(grams)


def _scorers() -> tuple[Any, Any]:
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "captions are scored by pycocoevalcap, which is not installed: "
            "pip install pycocoevalcap"
        ) from error
    return Bleu(4), Cider()
