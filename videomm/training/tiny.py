"""Make the embedded model ``tiny`` from the data folder, stage by stage.

    python -m videomm.training.tiny --data DIR --work DIR --out videomm/weights/tiny

Every stage keeps its result (or its state, while it runs) under ``--work``; a second call goes on
where the first one stopped. Progress goes to stderr as JSON lines. Seeds are fixed. With ``--text
FOLDER`` the text tower starts from an earlier version of the folder, and its distillation, the
longest stage, is left out.

With ``--unseen`` it is a shorter run that never sees a fifth of caltech101's classes; see `unseen`.
What it makes of them, `benchmarks/tiny.py --unseen --model DIR` measures.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transformer import TextTransformer
from safetensors.torch import load_file
from torch import Tensor, nn

from videomm.training.backbone import build_backbone, cache_logits
from videomm.training.distill import DistillConfig, distill, embed_ids, fidelity
from videomm.training.export import WEIGHTS_FILE, build_clip, check_export, export
from videomm.training.image_data import ImageArchive, load_split
from videomm.training.initialise import initialise_from_teacher
from videomm.training.pairs import (
    TextTable,
    build_label_sets,
    build_pairs,
    build_short_texts,
    build_validation,
    class_embeddings,
    class_rows,
    texts_of,
)
from videomm.training.pretrain import PretrainConfig, PretrainData, SoftTargets, pretrain
from videomm.training.progress import keep_freed_memory, report, seed_everything
from videomm.training.teacher import cache_teacher, load_teacher
from videomm.training.text_data import TextCorpus, build_corpus
from videomm.training.text_tower import (
    TextTowerConfig,
    build_text_tower,
    load_source_vocabulary,
    tokenize,
    trim_vocabulary,
    whole_words,
    write_tokenizer,
)
from videomm.training.towers import ImageTower, TowerPair
from videomm.training.unseen import hold_out, leave_out, unseen_classes
from videomm.training.views import Pictures, RandomCrops, load_pictures

EMBED_DIM = 384  # the text tower's width: a text says no more in a wider space
CROP_SIDE, LARGE_CROP_SIDE = 160, 224  # a step on the small ones takes half the time
OPEN_TEXTS = 20_000  # that the text tower is held to while it is trained together with the other
SEED = 0


@dataclass(frozen=True)
class TinyConfig:
    """All settings of the run.

    Attributes:
        text: Distillation of the sentence encoder.
        images: Training of the whole image tower from pixels, on small crops.
        towers: Training of both towers together, on large crops.
    """

    text: DistillConfig = field(default_factory=DistillConfig)
    images: PretrainConfig = field(default_factory=PretrainConfig)
    towers: PretrainConfig = field(
        default_factory=lambda: PretrainConfig(
            steps=350,
            batch_size=128,
            lr=2e-4,
            trunk_lr=4e-4,
            trunk_start=0,
            warmup_steps=10,
            ema_decay=0.98,
            measure_every=70,
            seed=5,
        )
    )


def unseen_config() -> TinyConfig:
    """A shorter run, without the stage of both towers: what it never saw has no pictures there."""
    usual = TinyConfig()
    return TinyConfig(
        text=replace(usual.text, epochs=2),
        images=replace(usual.images, steps=300),
        towers=replace(usual.towers, steps=0),
    )


def load_text_tower(folder: Path, config: TextTowerConfig) -> TextTransformer:
    """The text tower of an earlier model folder, its projection brought to `EMBED_DIM`.

    The rows of a wider projection span no more than the tower's width, so a rotation keeps every
    product between texts.
    """
    state = load_file(folder / WEIGHTS_FILE)
    parts = {n.removeprefix("text."): v.float() for n, v in state.items() if n.startswith("text.")}
    projection = parts["text_projection"]
    if projection.shape[1] != EMBED_DIM:
        rotation = torch.linalg.svd(projection, full_matrices=False).Vh.T
        parts["text_projection"] = projection @ rotation
    tower = build_text_tower(config, EMBED_DIM)
    tower.load_state_dict(parts)
    return tower


class TinyRun:
    """The stages, with what they share.

    Args:
        data: The data folder.
        work: Where stages keep their results.
        config: Settings.
        text_folder: A model folder of this recipe whose text tower is the start; None makes one
            from the sentence encoder.
        unseen: Classes that it is not to see.
    """

    def __init__(
        self,
        data: Path,
        work: Path,
        config: TinyConfig,
        text_folder: Path | None = None,
        unseen: Sequence[str] = (),
    ) -> None:
        self.data, self.work, self.config = data, work, config
        self.text_folder = text_folder
        self.vocabulary = load_source_vocabulary()
        self.pieces = trim_vocabulary(self.vocabulary)
        self.text_config = TextTowerConfig(vocab_size=len(self.pieces))
        self.corpus: TextCorpus = build_corpus(data, whole_words(self.pieces), seed=SEED)
        self.archive = ImageArchive(data)
        train = load_split(data, "train")
        if unseen:
            self.corpus, train = hold_out(self.corpus, unseen, data), leave_out(train, unseen)
        # A room about which only numbers are known has no text.
        self.train = [row for row in train if texts_of(row)]
        self.val = load_split(data, "val")
        tokenizer = write_tokenizer(
            work / "tokenizer", self.pieces, self.text_config.context_length
        )
        self.ids = tokenize(tokenizer, self.corpus.all_texts, self.text_config.context_length)

    def embed_teacher(self) -> npt.NDArray[np.float16]:
        """The sentence encoder's embeddings of all texts, float16 (T, 384)."""
        return cache_teacher(self.corpus.all_texts, self.work / "teacher")

    def distill_text(self, teacher: npt.NDArray[np.float16]) -> TextTransformer:
        """The text tower learns the sentence encoder."""
        seed_everything(SEED)
        tower = build_text_tower(self.text_config, EMBED_DIM)
        checkpoint = self.work / "distill.pt"
        if not checkpoint.exists():
            tokenizer, model = load_teacher()
            sample = random.Random(SEED).sample(self.corpus.train, 256)
            ids = [self.vocabulary[piece] for piece in self.pieces]
            initialise_from_teacher(tower, tokenizer, model, ids, sample)
        number = len(self.corpus.train)
        distill(tower, self.ids[:number], teacher[:number], checkpoint, self.config.text)
        self.report_fidelity("distill", tower, teacher)
        return tower

    def report_fidelity(
        self, stage: str, tower: TextTransformer, teacher: npt.NDArray[np.float16]
    ) -> None:
        """Cosine to the sentence encoder on held-out captions and held-out words."""
        words = len(self.corpus.all_texts) - len(self.corpus.val_words)
        captions = slice(len(self.corpus.train), words)
        held = {"captions": captions, "words": slice(words, None)}
        cosines = {
            name: round(fidelity(tower, self.ids[part], teacher[part]), 4)
            for name, part in held.items()
        }
        report(stage, held_out_cosine=cosines)

    def pretrain_data(self, text_tower: TextTransformer) -> PretrainData:
        """The pictures, another network's view of them, and the states of all their texts."""
        table = TextTable(self.corpus.all_texts)
        pairs, label_sets = build_pairs(self.train, table), build_label_sets(self.train, table)
        short = build_short_texts(self.train, table)
        validation = build_validation(self.val, table)
        number = len(self.corpus.train)
        open_rows = torch.randperm(number, generator=torch.Generator().manual_seed(SEED))
        open_rows = open_rows[:OPEN_TEXTS]
        of_pictures = pairs.text_rows + [rows for rows in short.rows if rows]
        used = [torch.tensor(rows) for rows in of_pictures + class_rows(self.data, table)]
        used += [labels.rows.flatten() for labels in label_sets]
        used += [prompts.flatten() for _, _, prompts in validation.labels.values()]
        used += [validation.caption_rows, open_rows]
        rows = torch.cat(used).unique()
        states = torch.zeros(len(self.ids), self.text_config.width)
        states[rows] = embed_ids(text_tower, self.ids[rows])
        return PretrainData(
            crops=RandomCrops(self.archive, self.train, CROP_SIDE),
            val_images=load_pictures(Pictures(self.archive, self.val)),
            pairs=pairs,
            ids=self.ids,
            validation=validation,
            states=states,
            open_rows=open_rows,
            soft=SoftTargets(
                cache_logits(self.archive, self.train, self.work / "logits"),
                class_embeddings(self.data, table, states),
            ),
            label_sets=label_sets,
            short=short,
        )

    def train_images(self, text_tower: TextTransformer) -> ImageTower:
        """The whole image tower from pixels, first against the text tower as it is, then both."""
        data = self.pretrain_data(text_tower)
        seed_everything(SEED)
        clip = build_clip(EMBED_DIM, self.text_config)
        visual = cast(nn.Module, clip.visual)
        trunk = cast(nn.Module, visual.trunk)
        trunk.load_state_dict(build_backbone().state_dict())
        trunk.to(memory_format=torch.channels_last)
        tower = ImageTower(visual, self.text_config.width, EMBED_DIM)
        small = self.config.images
        projection = cast(Tensor, text_tower.text_projection)
        if self.text_folder is not None:  # its projection has been trained with pictures
            small = replace(small, map_lr_ratio=0.0)
            with torch.no_grad():
                cast(Tensor, tower.text_map).copy_(projection)
        pretrain(TowerPair(tower), data, self.work / "images.pt", small)
        crops = RandomCrops(self.archive, self.train, LARGE_CROP_SIDE)
        pair = TowerPair(tower, text_tower)
        pretrain(pair, replace(data, crops=crops), self.work / "towers.pt", self.config.towers)
        with torch.no_grad():
            projection.copy_(cast(Tensor, tower.text_map))
        return tower

    def write(self, out: Path, text_tower: TextTransformer, images: ImageTower) -> None:
        """The folder, checked against the trained towers."""
        export(
            out,
            images.visual,
            text_tower,
            self.text_config,
            pieces=self.pieces,
            scale=images.scale.item(),
        )
        batch = load_pictures(Pictures(self.archive, self.val[:8])).float()
        texts = list(self.corpus.val_captions[:8])
        cosine = check_export(out, images.visual, text_tower, texts, batch)
        if cosine < 0.9999:
            raise RuntimeError(f"open_clip gives other outputs from {out}: cosine {cosine:.6f}")
        size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        report("export", folder=str(out), cosine=round(cosine, 6), megabytes=round(size, 1))

    def run(self, out: Path) -> None:
        """All stages."""
        if self.text_folder is not None:
            text_tower = load_text_tower(self.text_folder, self.text_config)
            images = self.train_images(text_tower)
        else:
            teacher = self.embed_teacher()
            text_tower = self.distill_text(teacher)
            images = self.train_images(text_tower)
            self.report_fidelity("towers", text_tower, teacher)
        self.write(out, text_tower, images)


def parse_arguments(arguments: Sequence[str] | None) -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m videomm.training.tiny", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="where stages keep results")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument(
        "--text", type=Path, help="an earlier model folder, whose text tower is the start"
    )
    parser.add_argument(
        "--unseen", action="store_true", help="leave out the classes of an open-vocabulary check"
    )
    parser.add_argument("--threads", type=int, default=0, help="torch threads (0: torch decides)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all stages; exit code 0."""
    options = parse_arguments(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    config = unseen_config() if options.unseen else TinyConfig()
    unseen = unseen_classes(options.data) if options.unseen else ()
    TinyRun(options.data, options.work, config, options.text, unseen).run(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
