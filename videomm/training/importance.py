"""Training of importance from people's ratings of a few videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from videomm.models.importance import ImportanceModel
from videomm.models.temporal import TemporalConfig
from videomm.training.averaged import AveragedTraining
from videomm.training.schedule import step_seed
from videomm.types import Array

WEIGHT_DECAY = 0.05
LEAST_SHARE = 0.5  # of a video's frames in a step
HEAD_RATE = 5.0  # times that of the Transformer's weights
WARMUP = 20


@dataclass(frozen=True, eq=False)
class RatedFrames:
    """One video to learn from.

    Attributes:
        embeddings: float32 (N, D).
        times: float64 (N,) seconds.
        start: float64 (N,), untrained importance in [0, 1].
        target: float64 (N,), what people say on average; NaN where they say nothing.
    """

    embeddings: Array
    times: Array
    start: Array
    target: Array

    def part(self, rows: slice) -> RatedFrames:
        """Some of the frames."""
        return RatedFrames(
            *(a[rows] for a in (self.embeddings, self.times, self.start, self.target))
        )


def has_order(values: Array) -> bool:
    """Whether values, NaN aside, differ."""
    said = values[~np.isnan(values)]
    return bool(len(said) > 1 and said.max() > said.min())


def disagreement(rated: Tensor, target: Tensor) -> Tensor:
    """1 less Pearson's correlation of importance with what people say, a mean over videos.

    It does not mind people's scale, nor how high a whole video is rated.

    Args:
        rated: float (B, N).
        target: float (B, N), NaN where nothing is said or padded; it differs within each video.
    """
    said = ~target.isnan()
    count = said.sum(dim=1, keepdim=True)

    def centred(values: Tensor) -> Tensor:
        values = values.masked_fill(~said, 0.0)
        return (values - values.sum(dim=1, keepdim=True) / count).masked_fill(~said, 0.0)

    x, y = centred(rated), centred(target.nan_to_num())
    # A little keeps what is the same everywhere from having an endless gradient.
    lengths = (x.square().sum(dim=1) + 1e-8).sqrt() * (y.square().sum(dim=1) + 1e-8).sqrt()
    return (1 - (x * y).sum(dim=1) / lengths).mean()


def rate(model: ImportanceModel, videos: Sequence[RatedFrames]) -> tuple[Tensor, Tensor]:
    """What a model says of videos, and their targets: float (B, N) each, NaN targets as padding."""
    pad = nn.utils.rnn.pad_sequence

    def padded(arrays: Sequence[Array], fill: float = 0.0) -> Tensor:
        return pad([torch.from_numpy(np.array(array)) for array in arrays], True, fill)

    lengths = torch.tensor([len(video.times) for video in videos])
    rated = model(
        padded([video.embeddings for video in videos]).float(),
        padded([video.times for video in videos]),
        padded([video.start for video in videos]).float(),
        torch.arange(int(lengths.max()))[None] < lengths[:, None],
    )
    return rated, padded([video.target for video in videos], np.nan).float()


class ImportanceTrainer(AveragedTraining[ImportanceModel]):
    """One training of importance on parts of videos, beginning at untrained importance.

    Args:
        videos: each with an order in its targets.
        shape: of the temporal Transformer.
        steps: in all.
        batch_size: videos a step; all of them where there are fewer.
        lr: peak learning rate of the Transformer.
        seed: everything random follows from it.
    """

    def __init__(
        self,
        videos: Sequence[RatedFrames],
        shape: TemporalConfig,
        *,
        steps: int,
        batch_size: int,
        lr: float,
        seed: int,
    ) -> None:
        self.videos, self.batch_size, self.seed = videos, batch_size, seed
        torch.manual_seed(seed)
        model = ImportanceModel(shape)
        groups: list[dict[str, Any]] = [
            {"params": list(model.temporal.parameters()), "peak": lr, "weight_decay": WEIGHT_DECAY},
            {"params": list(model.head.parameters()), "peak": HEAD_RATE * lr, "weight_decay": 0.0},
        ]
        settings = {"shape": shape.to_dict(), "batch_size": batch_size, "lr": lr, "seed": seed}
        super().__init__(
            model,
            groups,
            settings | {"steps": steps},
            steps=steps,
            warmup_steps=WARMUP,
            ema_decay=0.98,
        )

    def draw(self) -> list[RatedFrames]:
        """A part of each video of this step, seeded a step; a part without an order is left."""
        rng = np.random.default_rng([self.seed, self.step])
        size = min(self.batch_size, len(self.videos))
        drawn = []
        for row in rng.choice(len(self.videos), size, replace=False):
            video = self.videos[row]
            length = round(len(video.times) * rng.uniform(LEAST_SHARE, 1))
            first = int(rng.integers(len(video.times) - length + 1))
            part = video.part(slice(first, first + length))
            drawn.append(part if has_order(part.target) else video)
        return drawn

    def take_step(self) -> float:
        """One batch: forward, backward, update, average."""
        batch = self.draw()
        torch.manual_seed(step_seed(self.seed, self.step))  # for dropout
        loss = disagreement(*rate(self.model.train(), batch))
        self.update(loss)
        return float(loss.detach())
