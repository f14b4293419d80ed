"""Self-critical training: a decoder's own samples are rewarded for what people would write.

Likelihood rewards a word that follows people's words; what counts is the whole of the decoder's own
caption. Samples of one picture are each other's baseline (Rennie et al. 2017,
https://arxiv.org/abs/1612.00563; the baseline of Luo 2020, https://arxiv.org/abs/2003.09971).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from videomm.models.decoder import END, PAD, START, UNKNOWN, TextDecoder
from videomm.training.caption_loss import word_logits

LONGEST_GRAM = 4
SIGMA = 6.0  # words, of the penalty on another length

Grams = Counter[tuple[int, ...]]


class CiderReward:
    """CIDEr-D of captions, as ids, against the references of their pictures.

    Vedantam et al. 2015 (https://arxiv.org/abs/1411.5726), equations 1 to 3 and section 7, as
    pycocoevalcap has it, which can only score all pictures at once. The end counts as a word, as
    captions would else learn to stop at "a".

    Args:
        references: For each picture the ids of its captions, with start and end.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[int]]]) -> None:
        grams = [[count_grams(ids[1:]) for ids in row] for row in references]
        seen = Counter(gram for row in grams for gram in set().union(*row))
        pictures = math.log(len(references))
        self._rarest = pictures
        self._idf = {gram: pictures - math.log(number) for gram, number in seen.items()}
        self._references = [[self._vector(one) for one in row] for row in grams]

    def __call__(self, picture: int, ids: Sequence[int]) -> float:
        """CIDEr-D, from 0 to 10, of a caption with start and end."""
        vector, norms, length = self._vector(count_grams(ids[1:]))
        total = 0.0
        for reference, reference_norms, reference_length in self._references[picture]:
            products = [0.0] * LONGEST_GRAM
            for gram, weight in vector.items():
                if other := reference.get(gram):
                    products[len(gram) - 1] += min(weight, other) * other
            cosine = sum(
                product / (a * b)
                for product, a, b in zip(products, norms, reference_norms, strict=True)
                if a and b
            )
            total += cosine * math.exp(-((length - reference_length) ** 2) / (2 * SIGMA**2))
        return 10 * total / (LONGEST_GRAM * len(self._references[picture]))

    def _vector(self, grams: Grams) -> tuple[dict[tuple[int, ...], float], list[float], int]:
        """Weights of the grams, their norm for each length of grams, and the number of words."""
        vector = {gram: n * self._idf.get(gram, self._rarest) for gram, n in grams.items()}
        squares = [0.0] * LONGEST_GRAM
        for gram, weight in vector.items():
            squares[len(gram) - 1] += weight**2
        words = sum(number for gram, number in grams.items() if len(gram) == 1)
        return vector, [math.sqrt(square) for square in squares], words


def count_grams(words: Sequence[int]) -> Grams:
    """How often each run of one to four words comes."""
    return Counter(
        tuple(words[i : i + length])
        for length in range(1, LONGEST_GRAM + 1)
        for i in range(len(words) - length + 1)
    )


@torch.inference_mode()
def draw_captions(
    decoder: TextDecoder, places: Tensor, samples: int, seed: int, max_tokens: int
) -> list[list[list[int]]]:
    """Captions drawn from the decoder's distribution as it is, all of a batch at once.

    Args:
        decoder: In eval mode.
        places: float (B, P, C) of pictures.
        samples: For each picture.
        seed: The same gives the same captions.
        max_tokens: Of a caption, its end included; a longer one is cut off without an end.

    Returns:
        B lists of `samples` captions' ids with start, and end.
    """
    generator = torch.Generator().manual_seed(seed)
    memory = decoder.remember(places)
    token = torch.full((len(places) * samples, 1), START)
    drawn = [token]
    for _ in range(max_tokens):
        chances = decoder.step(token, memory).exp()
        chances[:, [PAD, UNKNOWN, START]] = 0.0
        ended = (token == END) | (token == PAD)
        token = torch.multinomial(chances, 1, generator=generator).masked_fill(ended, PAD)
        drawn.append(token)
        if bool((token == PAD).all()):
            break
    rows = [[word for word in ids if word != PAD] for ids in torch.cat(drawn, dim=1).tolist()]
    return [rows[start : start + samples] for start in range(0, len(rows), samples)]


def advantages(rewards: Tensor) -> Tensor:
    """Rewards (B, K) less the mean reward of the picture's other samples."""
    others = (rewards.sum(1, keepdim=True) - rewards) / (rewards.shape[1] - 1)
    return rewards - others


def policy_loss(
    decoder: TextDecoder,
    places: Tensor,
    captions: Sequence[Sequence[Sequence[int]]],
    gains: Tensor,
) -> Tensor:
    """REINFORCE's loss (Williams 1992): likelier where the gain is above 0.

    Args:
        decoder: The decoder that drew the captions.
        places: float (B, P, C) of the pictures.
        captions: B lists of K captions' ids, with start and end.
        gains: float (B, K) of the captions.

    Returns:
        The mean over captions of their log-likelihood times the gain, negated.
    """
    logits, words, texts = word_logits(decoder, places, captions)
    logs = logits.log_softmax(-1).gather(1, words[:, None])[:, 0]
    return -(gains.flatten()[texts] * logs).sum() / gains.numel()
