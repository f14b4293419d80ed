"""Encoder, temporal Transformer and heads as one model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from videomm.config import check_fusion
from videomm.encoder import FrameEncoder
from videomm.errors import InvalidInputError
from videomm.models.frame_labels import FrameLabelModel
from videomm.models.fusion import SpeechFusion, Spoken, spoken_of
from videomm.models.heads import ClassificationHead
from videomm.models.importance import ImportanceModel
from videomm.models.temporal import Context, TemporalConfig, TemporalTransformer, check_batch
from videomm.types import Array, Timeline


class VideoModel(nn.Module):
    """A timeline to a context, and a context to scores.

    Untrained, its scores are exactly those of mean-pooled zero-shot CLIP.

    Args:
        encoder: the towers; not trained here, and its weights are not part of `state_dict`.
        temporal: shape of the temporal Transformer; its width must be the encoder's.
        name: what results call this model; the encoder's name unless given.
        labels: what it was trained to tell apart; empty where it was trained on no fixed labels.
        multi_label: whether it was trained to score each of them on its own.
        frame_labels: what tells the labels of single frames, where it was trained on those; it
            reads embeddings, not contexts.
        fusion: how what is said joins what is seen: `early`, `late`, `hybrid` or `none`. Of a video
            in which nothing is said the scores are those of its pictures.
        importance: what rates the frames of summaries, where it was trained on people's ratings.
    """

    def __init__(
        self,
        encoder: FrameEncoder,
        temporal: TemporalConfig | None = None,
        *,
        name: str | None = None,
        labels: Sequence[str] = (),
        multi_label: bool = False,
        frame_labels: FrameLabelModel | None = None,
        fusion: str = "none",
        importance: ImportanceModel | None = None,
    ) -> None:
        super().__init__()
        config = temporal or TemporalConfig(dim=encoder.dim)
        if config.dim != encoder.dim:
            raise InvalidInputError(
                f"the temporal Transformer's dim {config.dim} is not {encoder.name}'s {encoder.dim}"
            )
        self.encoder = encoder
        self.name = name or encoder.name
        self.labels = tuple(labels)
        self.multi_label = multi_label
        self.temporal = TemporalTransformer(config)
        self.classifier = ClassificationHead(encoder.dim, encoder.logit_scale, encoder.logit_bias)
        self.frame_labels = frame_labels
        self.fusion = check_fusion(fusion)
        self.speech = None if fusion == "none" else SpeechFusion(encoder.dim, fusion)
        self.importance = importance
        self.to(encoder.device)
        self.eval()

    def forward(
        self,
        embeddings: Tensor,
        times: Tensor,
        texts: Tensor,
        mask: Tensor | None = None,
        spoken: Spoken | None = None,
    ) -> Tensor:
        """Logits (B, L) of texts (L, D) for videos (B, N, D); see `TemporalTransformer`."""
        context = self.context(embeddings, times, mask, spoken)
        if spoken is None or self.speech is None or not self.speech.late:
            return self.classifier(context.pooled, texts)
        return self.judge(context, times, texts, spoken)[0]

    def context(
        self,
        embeddings: Tensor,
        times: Tensor,
        mask: Tensor | None = None,
        spoken: Spoken | None = None,
    ) -> Context:
        """The context of videos (B, N, D), whose frames also attend to texts in early fusion."""
        if spoken is None or self.speech is None or not self.speech.early:
            return self.temporal(embeddings, times, mask)
        mask = check_batch(embeddings, times, mask, self.temporal.config.dim)
        tokens = self.speech.tokens(embeddings, times, mask, spoken)
        out: Context = self.temporal.attend(*tokens, num_frames=embeddings.shape[1])
        return out

    def judge(
        self, context: Context, times: Tensor, texts: Tensor, spoken: Spoken | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of texts (L, D) for videos (B, L), and for their frames (B, N, L).

        Args:
            context: of B videos.
            times: (B, N) seconds of their frames.
            texts: as `ClassificationHead` takes them.
            spoken: what is said, for late fusion.
        """
        images = torch.cat((context.pooled[:, None], context.frames), dim=1)
        plain = self.classifier.similarity(images, texts)
        videos, frames = plain[:, 0], plain[:, 1:]
        if spoken is not None and self.speech is not None and self.speech.late:
            frames = self.speech.mix(frames, times, spoken, texts)
            fused = self.speech.pool(frames, context.mask)
            videos = torch.where(spoken.mask.any(dim=1, keepdim=True), fused, videos)
        return self.classifier.to_logits(videos), self.classifier.to_logits(frames)

    @torch.inference_mode()
    def attend(self, timeline: Timeline) -> Context:
        """The context of one timeline, as a batch of one.

        Raises:
            InvalidInputError: another encoder made the timeline.
        """
        return self.context(*self._batch_of_one(timeline), spoken=self.spoken(timeline))

    @torch.inference_mode()
    def label_frames(self, timeline: Timeline) -> Array:
        """How likely each of its labels is for each frame: float64 (N, L), rows sum to 1.

        Raises:
            InvalidInputError: another encoder made the timeline.
        """
        assert self.frame_labels is not None
        logits: Tensor = self.frame_labels(*self._batch_of_one(timeline))[0]
        return np.asarray(logits.double().softmax(dim=-1).cpu().numpy())

    @torch.inference_mode()
    def rate_frames(self, timeline: Timeline, start: Array) -> Array:
        """How important people would find each frame: float64 (N,) in (0, 1).

        Args:
            timeline: of N frames.
            start: (N,) in [0, 1], the importance of untrained frames.

        Raises:
            InvalidInputError: another encoder made the timeline.
        """
        assert self.importance is not None
        embeddings, times = self._batch_of_one(timeline)
        begin = torch.from_numpy(np.array(start)).to(embeddings)
        rated: Tensor = self.importance(embeddings, times, begin[None])[0]
        return np.asarray(rated.double().cpu().numpy())

    def _batch_of_one(self, timeline: Timeline) -> tuple[Tensor, Tensor]:
        """Embeddings float32 (1, N, D) and times float64 (1, N) on the model's device."""
        if timeline.encoder != self.encoder.id:
            raise InvalidInputError(
                f"the timeline was made by {timeline.encoder}, this model reads "
                f"{self.encoder.id}; embed the video again with --model {self.encoder.name}"
            )
        device = self.encoder.device
        embeddings = torch.from_numpy(np.array(timeline.embeddings)).to(device)
        times = torch.from_numpy(np.array(timeline.times)).to(device)
        return embeddings[None], times[None]

    @torch.inference_mode()
    def said(self, timeline: Timeline) -> Array | None:
        """What late fusion adds to each frame, float32 (N, D): its product with a text is added
        to the similarity of the two. None where nothing is said, or none is fused late."""
        spoken = self.spoken(timeline)
        if spoken is None or self.speech is None or not self.speech.late:
            return None
        times = torch.from_numpy(np.array(timeline.times)).to(self.encoder.device)
        return np.asarray(self.speech.said(times[None], spoken)[0].cpu().numpy())

    def spoken(self, timeline: Timeline) -> Spoken | None:
        """What is said in a timeline, as a batch of one; None where nothing is, or is fused."""
        if timeline.speech is None or self.speech is None:
            return None
        return spoken_of(timeline.speech).to(self.encoder.device)
