"""Train the temporal Transformer on compositions, with everything else frozen.

    python -m videomm.training.temporal --data DIR --work DIR --out DIR [--model tiny]

Frames learn to be near to the captions of what they show, and the pooled video to the caption of
what it shows for the longest; see `composition_loss`. What the towers see of the pictures, and the
state of the training, are kept under ``--work``; a second call goes on where the first one stopped,
to the same bits on a processor. Progress goes to stderr as JSON lines. ``--out`` becomes a folder
that `load_model` reads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videomm.config import Config
from videomm.errors import InvalidInputError
from videomm.evaluation.compositions import find_in, measure_findings
from videomm.hub import load_model, save_model
from videomm.models.temporal import TemporalBlock, TemporalConfig, TemporalTransformer
from videomm.models.video_model import VideoModel
from videomm.training.averaged import AveragedTraining
from videomm.training.image_data import ImageArchive, load_split
from videomm.training.losses import contrastive_loss
from videomm.training.progress import keep_freed_memory, report
from videomm.training.schedule import step_seed
from videomm.training.shots import Batch, Shots, Watched, draw_batch, embed_shots, watch_split

WATCHED = 60  # compositions of the val split, rendered to measure on while training
COMPARED = 10  # of them, with their approximation
LAST_LAYERS = (".out.", ".down.")  # of the residual branches

Validate = Callable[[TemporalTransformer], dict[str, float]]


@dataclass(frozen=True)
class TemporalTraining(Config):
    """Settings of `fit_temporal`.

    Attributes:
        steps: batches in all; more fit these pictures better, and those of the val split worse.
        batch_size: compositions a batch, new ones at every step.
        lr: peak learning rate.
        last_lr: of the residual branches' last layers. They read values of size 1 and add to
            embeddings whose elements are 1 / 20 of that.
        warmup_steps: steps until the peak.
        weight_decay: AdamW's.
        pooled_weight: of the pooled video's part of the loss.
        ema_decay: of the averaged weights, which are the result.
        save_every: steps between checkpoints.
        seed: everything random follows from it.
    """

    steps: int = 200
    batch_size: int = 32
    lr: float = 3e-4
    last_lr: float = 1.5e-5
    warmup_steps: int = 30
    weight_decay: float = 0.05
    pooled_weight: float = 0.5
    ema_decay: float = 0.99
    save_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.save_every < 1:
            raise InvalidInputError(
                "steps, batch_size and save_every must be at least 1, got "
                f"{self.steps}, {self.batch_size} and {self.save_every}"
            )


def composition_loss(
    model: TemporalTransformer, batch: Batch, scale: float, pooled_weight: float
) -> Tensor:
    """How far frames and videos are from the captions of what they show.

    A caption's frames, all of its moments alike, against all other frames of the batch, and a
    frame's caption against all other captions (`contrastive_loss`); and of a pooled video, the
    caption of its dominant picture against all others.

    Args:
        model: the temporal Transformer.
        batch: compositions.
        scale: inverse temperature; the encoder's own, so that scores keep their scale.
        pooled_weight: of the second part.
    """
    context = model(batch.embeddings, batch.times, batch.mask)
    loss = contrastive_loss(context.frames[batch.mask], batch.captions, batch.shown, scale)
    pooled = F.cross_entropy(scale * context.pooled @ batch.captions.T, batch.dominant)
    return loss + pooled_weight * pooled


def attend_to_alike(model: TemporalTransformer) -> None:
    """Let attention start as a similarity: queries and keys are the same orthogonal map.

    Frames that look alike and are near in time attend to each other from the first step on, which
    random maps would have to learn from the pictures at hand. The model stays the identity.
    """
    dim = model.config.dim
    with torch.no_grad():
        for block in cast(Iterable[TemporalBlock], model.blocks):
            query, key, value = block.qkv.weight.split(dim)
            nn.init.orthogonal_(query)
            key.copy_(query)
            nn.init.orthogonal_(value)
            nn.init.zeros_(block.qkv.bias)


def parameter_groups(
    model: TemporalTransformer, config: TemporalTraining
) -> list[dict[str, object]]:
    """The residual branches' last layers apart; weight decay is a share of all a step does."""
    last = {name for name, _ in model.named_parameters() if any(x in name for x in LAST_LAYERS)}

    def group(peak: float, *, of_last: bool) -> dict[str, object]:
        chosen = [p for name, p in model.named_parameters() if (name in last) == of_last]
        return {
            "params": chosen,
            "peak": peak,
            "weight_decay": config.weight_decay * config.lr / peak,
        }

    return [group(config.lr, of_last=False), group(config.last_lr, of_last=True)]


def fit_temporal(
    shots: Shots,
    shape: TemporalConfig,
    scale: float,
    config: TemporalTraining | None = None,
    checkpoint: Path | None = None,
    validate: Validate | None = None,
) -> TemporalTransformer:
    """Train from the identity on.

    Args:
        shots: pictures to draw compositions from.
        shape: of the model.
        scale: inverse temperature of the loss.
        config: settings; None takes the defaults.
        checkpoint: a file to save to, and to go on from where it exists.
        validate: figures of a model, reported with every checkpoint.

    Returns:
        The average of the weights, in evaluation mode.

    Raises:
        InvalidInputError: the checkpoint is of other settings.
    """
    config = config or TemporalTraining()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        trainer = _Trainer(shots, shape, scale, config)
        if checkpoint is not None and checkpoint.exists():
            trainer.load(checkpoint)
        while trainer.step < config.steps:
            loss = trainer.take_step()
            if trainer.step % config.save_every and trainer.step != config.steps:
                continue
            figures = validate(trainer.average.eval()) if validate is not None else {}
            report("temporal", step=trainer.step, loss=round(loss, 4), val=figures)
            if checkpoint is not None:
                trainer.save(checkpoint)
    return trainer.average.eval()


class _Trainer(AveragedTraining[TemporalTransformer]):
    """One training of the temporal Transformer."""

    def __init__(
        self, shots: Shots, shape: TemporalConfig, scale: float, config: TemporalTraining
    ) -> None:
        self.shots, self.scale, self.config = shots, scale, config
        settings = {
            "shots": shots.digest,
            "shape": shape.to_dict(),
            "scale": scale,
            "training": config.to_dict(),
        }
        model = TemporalTransformer(shape)
        attend_to_alike(model)
        super().__init__(
            model,
            parameter_groups(model, config),
            settings,
            steps=config.steps,
            warmup_steps=config.warmup_steps,
            ema_decay=config.ema_decay,
        )

    def take_step(self) -> float:
        """One batch: forward, backward, update, average."""
        config, size = self.config, self.config.batch_size
        batch = draw_batch(self.shots, config.seed, range(self.step * size, (self.step + 1) * size))
        torch.manual_seed(step_seed(config.seed, self.step))  # for dropout
        loss = composition_loss(self.model.train(), batch, self.scale, config.pooled_weight)
        self.update(loss)
        return loss.item()


@torch.inference_mode()
def measure_temporal(model: TemporalTransformer, watched: Sequence[Watched]) -> dict[str, float]:
    """The figures of `measure_findings` for a temporal Transformer."""
    findings = []
    for item in watched:
        frames = torch.from_numpy(np.array(item.timeline.embeddings))
        context = model(frames[None], torch.from_numpy(np.array(item.timeline.times))[None])
        pair = context.frames[0].numpy(), context.pooled[0].numpy()
        findings.append(find_in(item.timeline, *pair, item.captions))
    return measure_findings([item.composition for item in watched], findings)


def run(data: Path, work: Path, out: Path, name: str) -> None:
    """All stages: look at the pictures, train, write."""
    model = load_model(name, "cpu")
    encoder = model.encoder
    archive = ImageArchive(data)
    rows = [row for row in load_split(data, "train") if row.captions]
    shots = embed_shots(archive, rows, encoder, work / "shots")
    watched = watch_split(data, "val", encoder, WATCHED, COMPARED)
    shape = TemporalConfig(dim=encoder.dim, num_layers=2, mlp_ratio=0.5)
    identity = measure_temporal(TemporalTransformer(shape).eval(), watched)
    report("untrained", val=identity)
    trained = fit_temporal(
        shots,
        shape,
        encoder.logit_scale,
        checkpoint=work / f"{shots.digest}.pt",
        validate=lambda temporal: measure_temporal(temporal, watched),
    )
    result = VideoModel(encoder, shape)
    result.temporal.load_state_dict(trained.state_dict())
    result.temporal.half()  # what is written; it is read back as float32
    save_model(result, out)
    figures = measure_temporal(load_model(str(out), "cpu").temporal, watched)
    report("saved", folder=str(out), untrained=identity, val=figures)


def parse_arguments(arguments: Sequence[str] | None) -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m videomm.training.temporal", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="where stages keep results")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--model", default="tiny", help="the encoder, as for videomm embed")
    parser.add_argument("--threads", type=int, default=0, help="torch threads (0: torch decides)")
    options = parser.parse_args(arguments)
    if options.out.exists():
        parser.error(f"{options.out} exists; give a new folder or remove it first")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all stages; exit code 0."""
    options = parse_arguments(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    run(options.data, options.work, options.out, options.model)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
