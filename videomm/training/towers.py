"""The two towers as they are trained together: any image tower, and any text tower or none."""

from __future__ import annotations

from typing import cast

import torch
from open_clip.timm_model import TimmModel
from torch import Tensor, nn
from torch.nn import functional as F

from videomm.towers.image import fold_trunk, run_trunk
from videomm.training.backbone import BACKBONE
from videomm.training.ranks import gather, share
from videomm.training.text_tower import pad_id, pooled_states

MAX_SCALE = 100.0
CHUNK = 32  # images


class ImageTower(nn.Module):
    """open_clip's image tower, with the map of the text side.

    Args:
        visual: open_clip's image tower. A ``TimmModel`` is a trunk and a head; any other is all
            trunk.
        text_width: Width of the text tower's states; None where they are in the shared space.
        embed_dim: Width of the shared space.
        pretrained: Whether the trunk has been trained before: it then runs as in inference, with
            the batch norm statistics of the many pictures it was trained on.
    """

    def __init__(
        self, visual: nn.Module, text_width: int | None, embed_dim: int, *, pretrained: bool = True
    ) -> None:
        super().__init__()
        self.visual = visual
        self.pretrained = pretrained
        self.text_map: nn.Parameter | None = None
        if text_width is not None:
            # Orthonormal rows keep every cosine between texts as the text tower has it.
            self.text_map = nn.Parameter(torch.empty(text_width, embed_dim))
            nn.init.orthogonal_(self.text_map)
        self.log_scale = nn.Parameter(torch.tensor(20.0).log())
        self.log_soft_scale = nn.Parameter(torch.tensor(20.0).log())

    @property
    def trunk(self) -> nn.Module:
        """The part up to the pooled features."""
        return self.visual.trunk if isinstance(self.visual, TimmModel) else self.visual

    @property
    def head_module(self) -> nn.Module | None:
        """The part after them; None where there is none."""
        return self.visual.head if isinstance(self.visual, TimmModel) else None

    @property
    def scale(self) -> Tensor:
        """Inverse temperature of the contrastive loss."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def train(self, mode: bool = True) -> ImageTower:
        """As usual, but a pretrained trunk stays as in inference."""
        super().train(mode)
        if self.pretrained:
            self.trunk.eval()
        return self

    def pool(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), or what a frozen trunk gave for them before, to pooled (B, F)."""
        if images.ndim == 2:
            return images.float()
        images = images.float().contiguous(memory_format=torch.channels_last)
        trunk = self.trunk
        lite = getattr(trunk, "pretrained_cfg", {}).get("architecture") == BACKBONE
        if not (self.pretrained and lite):
            return cast(Tensor, trunk(images))
        # Batch norm in the convolutions is a sixth faster in training on a CPU, and few images at a
        # time stay nearer to the processor from layer to layer.
        steps = fold_trunk(trunk)
        return torch.cat([run_trunk(steps, part) for part in images.split(CHUNK)])

    def head(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, F) to embeddings (B, D), L2-normalised float32."""
        head = self.head_module
        return F.normalize((pooled if head is None else head(pooled)).float(), dim=-1)

    def map_text(self, states: Tensor) -> Tensor:
        """States of texts (T, W) to the shared space (T, D), L2-normalised."""
        states = states.float()
        return F.normalize(states if self.text_map is None else states @ self.text_map, dim=-1)


class TowerPair(nn.Module):
    """What is trained, as one module, so that it is saved and averaged together.

    Args:
        image: The image tower.
        text: The text tower (see `pooled_states`); None where its states are given and stay as
            they are.
    """

    def __init__(self, image: ImageTower, text: nn.Module | None = None) -> None:
        super().__init__()
        self.image = image
        self.text = text

    def text_states(self, states: Tensor | None, ids: Tensor, rows: Tensor) -> Tensor:
        """States (N, W) of rows (N,) of the text table: from `ids`, or as they are given."""
        if self.text is None:
            assert states is not None
            return states[rows]
        return gather(states_by_length(self.text, ids[share(rows)]), len(rows))

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those whose gradient on a rank is that of its share of the rows."""
        text = [] if self.text is None else self.text.parameters()
        return [*self.image.trunk.parameters(), *text]


def states_by_length(tower: nn.Module, ids: Tensor, chunk: int = 128) -> Tensor:
    """Text states (N, width) in order, computed in chunks of like length, so that a long caption
    does not pad all the others."""
    order = torch.argsort((ids != pad_id(tower)).sum(1))
    parts = [pooled_states(tower, ids[rows]) for rows in order.split(chunk)]
    return torch.cat(parts)[torch.argsort(order)]
