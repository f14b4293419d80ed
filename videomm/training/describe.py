"""Train the text decoder of an image tower on captions, and on questions made of them.

    python -m videomm.training.describe --data DIR --work DIR --model videomm/weights/tiny --out DIR

First each word of people's captions and of the answers is made likely, then the decoder's own
captions are rewarded for being like people's. The image tower stays as it is: what it sees at each
place of the pictures is computed once and kept under ``--work``, as is the state of the training,
so that a second call goes on where the first one stopped. What `beam_search` needs and the
threshold under which a caption is withheld are chosen on flickr8k's validation pictures. Progress
goes to stderr as JSON lines. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from videomm.encoder import FrameEncoder, load_encoder
from videomm.evaluation.captions import score_captions
from videomm.hub import save_decoder
from videomm.models.decoder import DecoderConfig, TextDecoder
from videomm.models.describer import Describer
from videomm.models.generation import GenerationConfig
from videomm.training.caption_data import (
    CaptionedPictures,
    batches_of_epoch,
    build_tokenizer,
    caption_ids,
    captions_of,
    question_ids,
)
from videomm.training.caption_loss import caption_loss, validation_loss
from videomm.training.image_data import CAPTION_SETS, LABEL_SETS, ImageArchive, load_split
from videomm.training.progress import (
    keep_freed_memory,
    load_saved,
    report,
    save_atomic,
    seed_everything,
)
from videomm.training.questions import make_questions, name_questions
from videomm.training.schedule import average_decay, learning_rate, step_seed, update_average
from videomm.training.self_critical import CiderReward, advantages, draw_captions, policy_loss
from videomm.training.spatial import cache_spatial

PENALTIES = (0.0, 0.3, 0.6, 0.9, 1.2)
REWARD_STEPS, REWARD_LR = 1200, 5e-5
LIKELIHOOD_SHARE = 0.2  # beside the reward


@dataclass(frozen=True)
class DescribeConfig:
    """Settings of the training.

    Attributes:
        steps: Batches.
        batch_size: Pictures a step, each with all its captions in one view.
        views: Of each training picture; see `view_of`.
        min_count: A word that comes less often in the captions is unknown.
        dropout: Within the decoder.
        place_dropout: Share of a picture's places that are hidden at a step.
        lr: Peak of the learning rate.
        warmup_steps: Until the peak.
        weight_decay: Of matrices other than embeddings.
        smoothing: Share of the target that is spread over all words (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567, section 7).
        ema_decay: Of the weights' moving average, which is what is measured and kept.
        measure_every: Steps between measurements, after which the state is saved.
        samples: Captions that are drawn of each picture, where they are rewarded.
        questions: Of each picture a step, beside all its captions.
        withheld: Share of the validation captions, the least likely, that the threshold withholds.
        seed: Of everything.
    """

    steps: int = 3200
    batch_size: int = 32
    views: int = 3
    min_count: int = 3
    dropout: float = 0.2
    place_dropout: float = 0.1
    lr: float = 1e-3
    warmup_steps: int = 150
    weight_decay: float = 0.05
    smoothing: float = 0.1
    ema_decay: float = 0.995
    measure_every: int = 300
    samples: int = 5
    questions: int = 6
    withheld: float = 0.1
    seed: int = 0


def measure(describer: Describer, data: CaptionedPictures) -> dict[str, float]:
    """Loss, BLEU-1, BLEU-4 and CIDEr on whole pictures."""
    captions, _ = describer.caption(data.views[0])
    scores = score_captions(captions, data.references)
    figures = {
        "loss": validation_loss(describer.decoder, data),
        "bleu1": scores.bleu[0],
        "bleu4": scores.bleu[3],
        "cider": float(scores.cider.mean()),
    }
    return {name: round(value, 3) for name, value in figures.items()}


def parameter_groups(decoder: TextDecoder, config: DescribeConfig) -> list[dict[str, object]]:
    """Matrices, whose weights decay; and embeddings, gains and biases."""
    named = dict(decoder.named_parameters())
    tables = ("embedding.weight", "positions.weight")
    matrices = [p for name, p in named.items() if p.ndim > 1 and name not in tables]
    rest = [p for name, p in named.items() if p.ndim <= 1 or name in tables]
    return [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]


def draw_batch(
    data: CaptionedPictures, lengths: Sequence[int], config: DescribeConfig, step: int
) -> tuple[list[int], Tensor, Tensor]:
    """Numbers of pictures (B,), their places in a random view each (B, P, C), which are seen."""
    epoch, number = divmod(step, len(lengths) // config.batch_size)
    rows = batches_of_epoch(lengths, config.batch_size, step_seed(config.seed, epoch))[number]
    rng = np.random.default_rng(step_seed(config.seed, step))
    views = rng.integers(len(data.views), size=len(rows))
    places = np.stack([data.views[view][row] for view, row in zip(views, rows, strict=True)])
    seen = torch.from_numpy(rng.random(places.shape[:2]) >= config.place_dropout)
    seen[:, 0] |= ~seen.any(1)
    return rows, torch.from_numpy(places).float(), seen


# The loss of a step: of the pictures with these numbers, their places (B, P, C), which of those are
# seen (B, P), and the step's seed.
StepLoss = Callable[[TextDecoder, Sequence[int], Tensor, Tensor, int], Tensor]


def likelihood(train: CaptionedPictures, config: DescribeConfig) -> StepLoss:
    """People's captions, and answers to questions, are to be likely."""

    def loss(
        decoder: TextDecoder, rows: Sequence[int], places: Tensor, seen: Tensor, seed: int
    ) -> Tensor:
        decoder.train()
        texts = [list(train.ids[row]) for row in rows]
        rng = np.random.default_rng(seed)
        for row, of_row in zip(rows, texts, strict=True):
            known = train.questions[row] if train.questions else ()
            of_row += [known[i] for i in rng.permutation(len(known))[: config.questions]]
        return caption_loss(decoder, places, texts, seen, config.smoothing)

    return loss


def reward(train: CaptionedPictures, config: DescribeConfig, max_tokens: int) -> StepLoss:
    """The decoder's own captions are to be likelier, the better they are, and people's likely.

    Labels are no captions to be like: the reward is of pictures with several captions alone. The
    likelihood of all texts keeps what was learned of labels and answers.
    """
    cider = CiderReward(train.ids)
    known = likelihood(train, config)

    def loss(
        decoder: TextDecoder, rows: Sequence[int], places: Tensor, seen: Tensor, seed: int
    ) -> Tensor:
        likely = known(decoder, rows, places, seen, seed)
        described = [i for i, row in enumerate(rows) if len(train.ids[row]) > 1]
        if not described:
            return likely
        decoder.eval()
        places = places[described]
        captions = draw_captions(decoder, places, config.samples, seed, max_tokens)
        rewards = [
            [cider(rows[i], ids) for ids in drawn]
            for i, drawn in zip(described, captions, strict=True)
        ]
        policy = policy_loss(decoder, places, captions, advantages(torch.tensor(rewards)))
        return policy + LIKELIHOOD_SHARE * likely

    return loss


def train_decoder(
    describer: Describer,
    train: CaptionedPictures,
    val: CaptionedPictures,
    checkpoint: Path,
    config: DescribeConfig,
    step_loss: StepLoss,
) -> None:
    """Train in place; the decoder ends as the average of weights with the best CIDEr on `val`.

    Args:
        describer: With a new decoder, or one of an earlier stage.
        train: At least a batch of pictures.
        val: Pictures to choose by.
        checkpoint: Written at every measurement; a run that finds it goes on from there.
        config: Settings.
        step_loss: What is minimised.

    Raises:
        ValueError: If there are fewer training pictures than a batch has.
    """
    if len(train.ids) < config.batch_size:
        raise ValueError(
            f"a step takes {config.batch_size} pictures, got {len(train.ids)}: lower batch_size"
        )
    seed_everything(config.seed)
    decoder = describer.decoder
    average = copy.deepcopy(decoder)
    optimizer = torch.optim.AdamW(parameter_groups(decoder, config), betas=(0.9, 0.98))
    lengths = [sum(len(ids) for ids in row) for row in train.ids]
    start, best, best_state = 0, -1.0, average.state_dict()
    if checkpoint.exists():
        saved = load_saved(checkpoint)
        start, best, best_state = int(saved["step"]), saved["best"], saved["best_state"]
        decoder.load_state_dict(saved["decoder"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
    for step in range(start, config.steps):
        torch.manual_seed(step_seed(config.seed, step))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config.steps, config.lr, config.warmup_steps)
        rows, places, seen = draw_batch(train, lengths, config, step)
        loss = step_loss(decoder, rows, places, seen, step_seed(config.seed, step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        update_average(average, decoder, average_decay(config.ema_decay, step))
        if (step + 1) % config.measure_every == 0 or step + 1 == config.steps:
            figures = measure(replace(describer, decoder=average), val)
            report("describe", step=step + 1, loss=round(loss.item(), 3), val=figures)
            if figures["cider"] > best:
                best, best_state = figures["cider"], copy.deepcopy(average.state_dict())
            state = {"decoder": decoder.state_dict(), "average": average.state_dict()}
            rest = {"optimizer": optimizer.state_dict(), "step": step + 1}
            save_atomic({**state, **rest, "best": best, "best_state": best_state}, checkpoint)
    decoder.load_state_dict(best_state)
    decoder.eval()


def choose_generation(
    describer: Describer, val: CaptionedPictures, config: DescribeConfig
) -> Describer:
    """With the length penalty of the best CIDEr on `val`, and the threshold for it."""
    found = []
    for penalty in PENALTIES:
        generation = replace(describer.generation, length_penalty=penalty)
        captions, likelihoods = replace(describer, generation=generation).caption(val.views[0])
        scores = score_captions(captions, val.references)
        threshold = float(np.quantile(likelihoods, config.withheld))
        poor = likelihoods < threshold
        figures = {"bleu1": scores.bleu[0], "bleu4": scores.bleu[3], "cider": scores.cider.mean()}
        figures |= {"threshold": threshold, "withheld_cider": scores.cider[poor].mean()}
        rounded = {name: round(float(value), 3) for name, value in figures.items()}
        report("generation", length_penalty=penalty, **rounded)
        found.append((float(scores.cider.mean()), generation, threshold))
    _, generation, threshold = max(found, key=lambda one: one[0])
    return replace(describer, generation=generation, threshold=round(threshold, 4))


def load_captioned(
    encoder: FrameEncoder, data: Path, work: Path, config: DescribeConfig, *, blind: bool
) -> tuple[CaptionedPictures, CaptionedPictures, Tokenizer]:
    """Training and validation pictures, and the tokenizer of the training captions.

    Blind, all pictures are the same single place of zeros.
    """
    train = load_split(data, "train", CAPTION_SETS + LABEL_SETS)
    val = load_split(data, "val", CAPTION_SETS[:1])
    questions = make_questions([row.captions for row in train], config.seed)
    questions += name_questions(train)
    texts = [caption for row in train for caption in captions_of(row)]
    texts += [f"{q.question} {q.answer}" for q in questions]
    tokenizer = build_tokenizer(texts, config.min_count)
    archive, folder = ImageArchive(data), work / "spatial"
    width = encoder.encode_spatial(np.zeros((1, *encoder.image_size, 3), np.uint8)).shape[2]
    parts = []
    for rows, views in ((train, config.views), (val, 1)):
        references = [captions_of(row) for row in rows]
        if blind:
            places = [np.zeros((len(rows), 1, width), np.float16)]
        else:
            places = [cache_spatial(encoder, archive, rows, view, folder) for view in range(views)]
        parts.append(CaptionedPictures(places, caption_ids(tokenizer, references), references))
    asked = question_ids(tokenizer, questions, len(train))
    return replace(parts[0], questions=asked), parts[1], tokenizer


def parse_arguments(arguments: Sequence[str] | None) -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m videomm.training.describe", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="where stages keep results")
    parser.add_argument("--model", type=Path, required=True, help="the image tower's folder")
    parser.add_argument("--out", type=Path, required=True, help="where the decoder's files go")
    parser.add_argument("--steps", type=int, default=DescribeConfig.steps, help="of the training")
    parser.add_argument(
        "--blind",
        action="store_true",
        help="hide the pictures: what do questions alone give away?",
    )
    parser.add_argument(
        "--reward-steps", type=int, default=REWARD_STEPS, help="of the training by reward"
    )
    parser.add_argument("--threads", type=int, default=0, help="torch threads (0: torch decides)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all stages; exit code 0."""
    options = parse_arguments(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    config = DescribeConfig(steps=options.steps)
    encoder = load_encoder(f"local-dir:{options.model}")
    train, val, tokenizer = load_captioned(
        encoder, options.data, options.work, config, blind=options.blind
    )
    if options.blind:
        config = replace(config, place_dropout=0.0, measure_every=config.steps)
    seed_everything(config.seed)
    shape = DecoderConfig(
        vocab_size=tokenizer.get_vocab_size(),
        context_dim=train.views[0].shape[2],
        dropout=config.dropout,
    )
    describer = Describer(
        TextDecoder(shape), tokenizer, GenerationConfig(), -np.inf, encoder.fingerprint
    )
    name = f"describe_{encoder.fingerprint}_{config.steps}"
    checkpoint = options.work / f"{name}{'_blind' if options.blind else ''}.pt"
    train_decoder(describer, train, val, checkpoint, config, likelihood(train, config))
    if options.reward_steps and not options.blind:
        rewarded = replace(config, steps=options.reward_steps, lr=REWARD_LR)
        checkpoint = options.work / f"{name}_{rewarded.steps}.pt"
        step_loss = reward(train, rewarded, describer.generation.max_tokens)
        train_decoder(describer, train, val, checkpoint, rewarded, step_loss)
    if not options.blind:
        describer = choose_generation(describer, val, config)
    save_decoder(describer, options.out)
    size = sum(path.stat().st_size for path in options.out.glob("decoder.*")) / 1e6
    report("saved", folder=str(options.out), megabytes=round(size, 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
