"""How much each frame of a video matters to people, learned from what they said."""

from __future__ import annotations

from torch import Tensor, nn

from videomm.models.heads import SummaryHead
from videomm.models.temporal import TemporalConfig, TemporalTransformer


class ImportanceModel(nn.Module):
    """A temporal Transformer of its own, and a head that rates the context of each frame.

    Args:
        config: shape of the Transformer; its dim is the embeddings' width.
    """

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        self.temporal = TemporalTransformer(config)
        self.head = SummaryHead(config.dim)

    def forward(
        self, embeddings: Tensor, times: Tensor, start: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Importance of frames; see `SummaryHead`.

        Args:
            embeddings: float (B, N, D), L2-normalised.
            times: (B, N) seconds.
            start: float (B, N), in [0, 1]: the importance of untrained frames.
            mask: bool (B, N), True for frames; None where nothing is padded.

        Returns:
            float (B, N), in (0, 1); values at padding mean nothing.
        """
        context = self.temporal(embeddings, times, mask)
        rated: Tensor = self.head(context.frames, start)
        return rated
