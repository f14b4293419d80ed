"""Early, late and hybrid fusion of a second modality: texts that are spoken at known times.

Early: the texts are tokens beside the frames, and the temporal Transformer lets frames attend to
them. Late: each frame's scores are mixed with those of what is said then. Hybrid is both.

The class of a video may lie in the agreement of the two: what is named while it is shown. Scores
that are averaged over time before or after they are added cannot tell that, since neither average
knows of the moment; so late fusion mixes frame by frame, and then pools with a learned sharpness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from videomm.config import check_fusion
from videomm.types import Speech

# Of what is said beside what is seen, until training learns it. At 0.8 both are equally loud: over
# the bank of concepts `tiny`'s similarities spread by 0.075 for validation pictures of flickr8k and
# by 0.092 for their captions. Half of that, since what is said need not be about what is shown.
DEFAULT_WEIGHT = 0.4


@dataclass(frozen=True)
class Spoken:
    """Texts of a batch of videos, as tensors.

    Attributes:
        embeddings: float (B, M, D), L2-normalised; anything where padded.
        spans: (B, M, 2), start and end of each text in seconds.
        mask: bool (B, M), True for texts and False for padding; a video may have none.
    """

    embeddings: Tensor
    spans: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Spoken:
        """The same on a device."""
        return Spoken(self.embeddings.to(device), self.spans.to(device), self.mask.to(device))


def spoken_of(speech: Speech) -> Spoken:
    """What is said in one video, as a batch of one."""
    embeddings = torch.from_numpy(np.array(speech.embeddings))[None]
    mask = torch.ones(embeddings.shape[:2], dtype=torch.bool)
    return Spoken(embeddings, torch.from_numpy(speech.spans)[None], mask)


def no_speech(batch: int, dim: int) -> Spoken:
    """Of videos in which nothing is said."""
    mask = torch.zeros(batch, 0, dtype=torch.bool)
    return Spoken(torch.zeros(batch, 0, dim), torch.zeros(batch, 0, 2, dtype=torch.float64), mask)


def join_spoken(parts: Sequence[Spoken]) -> Spoken:
    """Batches of one as one batch, padded."""
    fields = (
        [getattr(part, name)[0] for part in parts] for name in ("embeddings", "spans", "mask")
    )
    return Spoken(*(pad_sequence(rows, batch_first=True) for rows in fields))


class SpeechFusion(nn.Module):
    """What early, late or hybrid fusion adds to a model; untrained, early fusion adds nothing.

    Args:
        dim: D, width of the shared space.
        fusion: `early`, `late` or `hybrid`.
    """

    def __init__(self, dim: int, fusion: str) -> None:
        super().__init__()
        self.early = check_fusion(fusion) in ("early", "hybrid")
        self.late = fusion in ("late", "hybrid")
        if self.early:
            self.modality = nn.Parameter(torch.zeros(dim))
        if self.late:
            self.similarity = nn.Parameter(torch.eye(dim))
            self.weight = nn.Parameter(torch.tensor(DEFAULT_WEIGHT))
            self.sharpness = nn.Parameter(torch.tensor(0.0))

    def tokens(
        self, embeddings: Tensor, times: Tensor, mask: Tensor, spoken: Spoken
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Frames with the texts behind them, each text at the middle of its span.

        Args:
            embeddings: float (B, N, D), of frames.
            times: (B, N) seconds.
            mask: bool (B, N).
            spoken: M texts.

        Returns:
            Embeddings (B, N + M, D), times (B, N + M) and mask (B, N + M).
        """
        texts = (spoken.embeddings + self.modality).masked_fill(~spoken.mask[..., None], 0.0)
        middles = spoken.spans.mean(dim=-1).to(times.dtype)
        return (
            torch.cat((embeddings, texts), dim=1),
            torch.cat((times, middles), dim=1),
            torch.cat((mask, spoken.mask), dim=1),
        )

    def mix(self, pictures: Tensor, times: Tensor, spoken: Spoken, texts: Tensor) -> Tensor:
        """Similarities of frames, with the weighted ones of what is said at each added.

        Args:
            pictures: float (B, N, L), of frames to L texts.
            times: (B, N) seconds, ascending.
            spoken: M texts.
            texts: float (L, D), as `ClassificationHead` takes them.

        Returns:
            float (B, N, L); frames at which nothing is said as they were.
        """
        return pictures + self.said(times, spoken) @ texts.mT

    def said(self, times: Tensor, spoken: Spoken) -> Tensor:
        """What is said at each frame, weighted: float (B, N, D), to multiply with texts."""
        return self.weight * (said_at(times, spoken) @ self.similarity)

    def pool(self, similarities: Tensor, mask: Tensor) -> Tensor:
        """The mean over time (B, L) of (B, N, L), where better moments weigh more.

        Softmax-weighted with a learned sharpness: 0 is the mean, infinity the maximum (McFee,
        Salamon & Bello 2018, "Adaptive pooling operators for weakly labeled sound event
        detection", equation 11, auto-pool).

        Args:
            similarities: float (B, N, L).
            mask: bool (B, N), True for frames.
        """
        weights = (self.sharpness * similarities).masked_fill(~mask[..., None], -torch.inf)
        return (weights.softmax(dim=1) * similarities).sum(dim=1)


def said_at(times: Tensor, spoken: Spoken) -> Tensor:
    """Mean embedding of the texts that are spoken while each frame is on screen.

    A frame lasts until the next one; the first stands for what came before it as well.

    Args:
        times: (B, N) seconds, ascending where they are not padding.
        spoken: M texts.

    Returns:
        float (B, N, D), zero where nothing is said.
    """
    ends = torch.cat((times[:, 1:], torch.full_like(times[:, :1], torch.inf)), dim=1)
    # Padding after the last frame may have any time, which must not end that frame early.
    ends = torch.where(ends > times, ends, torch.inf)
    begins = torch.cat((torch.zeros_like(times[:, :1]), times[:, 1:]), dim=1)
    starts_in, ends_in = spoken.spans.to(times.dtype).unbind(dim=-1)
    during = (starts_in[:, None] < ends[..., None]) & (ends_in[:, None] > begins[..., None])
    during = (during & spoken.mask[:, None]).to(spoken.embeddings.dtype)
    known = spoken.embeddings.masked_fill(~spoken.mask[..., None], 0.0)
    return during @ known / during.sum(dim=-1, keepdim=True).clamp(min=1.0)
