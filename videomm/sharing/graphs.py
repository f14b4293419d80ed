"""What becomes an ONNX file: parts of a model as modules whose every step ONNX can express."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videomm.models.video_model import VideoModel
from videomm.tasks.classify import embed_labels
from videomm.towers.image import LiteTower, fold_trunk, run_trunk
from videomm.towers.text import TextTower

IMAGE, TEXT, CLASSIFIER = "image.onnx", "text.onnx", "classifier.onnx"


class ImageGraph(nn.Module):
    """Images as `FrameEncoder.preprocess` gives them, float32 (N, 3, h, w), to unit vectors (N, D).

    Args:
        towers: of a `FrameEncoder`.
    """

    def __init__(self, towers: nn.Module) -> None:
        super().__init__()
        self.towers = towers
        self._encode: Callable[[Tensor], Tensor] = towers.encode_image  # type: ignore[assignment]
        if isinstance(visual := towers.visual, LiteTower):
            # As it runs here it is oneDNN's operators, on a few images at a time.
            steps = fold_trunk(visual.trunk)
            self._encode = lambda images: visual.head(run_trunk(steps, images))

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self._encode(images), dim=-1)


class TextGraph(nn.Module):
    """Token ids int64 (M, L) to unit vectors (M, D).

    Args:
        towers: of a `FrameEncoder`.
    """

    def __init__(self, towers: nn.Module) -> None:
        super().__init__()
        self.towers = towers
        text = getattr(towers, "text", None)
        self._encode: Callable[[Tensor], Tensor] = (
            text.read if isinstance(text, TextTower) else towers.encode_text  # type: ignore[assignment]
        )

    def forward(self, ids: Tensor) -> Tensor:
        return F.normalize(self._encode(ids), dim=-1)


class ClassifierGraph(nn.Module):
    """Timelines to scores in [0, 1] of the labels that a model was trained on, calibrated.

    Args:
        model: with labels.
    """

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.temporal, self.classifier = model.temporal, model.classifier
        self.multi_label = model.multi_label
        texts = embed_labels(model.encoder, model.labels, model.multi_label)
        self.register_buffer("texts", torch.from_numpy(np.array(texts)).to(model.encoder.device))

    def forward(self, embeddings: Tensor, times: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TemporalTransformer`.

        Args:
            embeddings: float32 (B, N, D), L2-normalised.
            times: float64 (B, N), seconds.
            mask: bool (B, N), True for frames.

        Returns:
            Scores of the videos float32 (B, L) and of their frames (B, N, L); those of padding
            mean nothing.
        """
        context = self.temporal.attend(embeddings, times, mask, embeddings.shape[1])
        images = torch.cat((context.pooled[:, None], context.frames), dim=1)
        logits = self.classifier(images, self.texts)
        scores = logits.sigmoid() if self.multi_label else logits.softmax(dim=-1)
        return scores[:, 0], scores[:, 1:]
