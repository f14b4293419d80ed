"""How likely a decoder finds the texts of pictures, all texts of a picture at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from videomm.models.decoder import PAD, TextDecoder
from videomm.training.caption_data import CaptionedPictures, pack


def word_logits(
    decoder: TextDecoder,
    places: Tensor,
    texts: Sequence[Sequence[Sequence[int]]],
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of all words that are to be learned.

    Args:
        decoder: The decoder.
        places: float (B, P, C) of the pictures.
        texts: For each picture its texts' ids with start and end, and a prompt before.
        mask: bool (B, P), which places are seen; None is all.

    Returns:
        Logits float32 (W, V); the words themselves (W,); and of which text each is, the texts of
        all pictures numbered in a row (W,).
    """
    ids, segments, targets = pack(texts)
    wanted = targets != PAD
    # bfloat16 products with float32 sums take a third of the time, where the processor has them.
    with torch.autocast("cpu", torch.bfloat16):
        states = decoder.hidden(ids, decoder.remember(places, mask), segments)
        logits = decoder.logits(states[wanted])
    firsts = torch.tensor([0, *(len(row) for row in texts[:-1])]).cumsum(0)
    return logits.float(), targets[wanted], (segments + firsts[:, None])[wanted]


def caption_loss(
    decoder: TextDecoder,
    places: Tensor,
    captions: Sequence[Sequence[Sequence[int]]],
    mask: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Mean negative log-likelihood of a word.

    Args:
        decoder, places, captions, mask: See `word_logits`.
        smoothing: Share of the target that is spread over all words.
    """
    logits, words, _ = word_logits(decoder, places, captions, mask)
    return F.cross_entropy(logits, words, label_smoothing=smoothing)


@torch.no_grad()
def validation_loss(decoder: TextDecoder, data: CaptionedPictures, chunk: int = 64) -> float:
    """Negative log-likelihood of a word of the captions of whole pictures."""
    decoder.eval()
    total = count = 0.0
    for start in range(0, len(data.ids), chunk):
        part = slice(start, start + chunk)
        places = torch.from_numpy(data.views[0][part]).float()
        logits, words, _ = word_logits(decoder, places, data.ids[part])
        total += F.cross_entropy(logits, words, reduction="sum").item()
        count += len(words)
    return total / count
