"""Make the embedded model ``tiny`` from the data folder, stage by stage.

    python -m videomm.training.tiny --data DIR --work DIR --out videomm/weights/tiny

Every stage keeps its result (or its state, while it runs) under ``--work``; a second call goes on
where the first one stopped. Progress goes to stderr as JSON lines. Seeds are fixed. With ``--text
FOLDER`` the text tower starts from an earlier version of the folder, and its distillation, the
longest stage, is left out.
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

from videomm.training.align import AlignConfig, AlignData, TowerPair, align, validation_rows
from videomm.training.distill import DistillConfig, distill, embed_ids, fidelity
from videomm.training.export import WEIGHTS_FILE, build_clip, check_export, export
from videomm.training.features import (
    EVAL_VIEW,
    SEED,
    VIEWS,
    RandomCrops,
    ViewDataset,
    build_backbone,
    cache_features,
    iterate_views,
    load_shards,
)
from videomm.training.image_data import ImageArchive, load_split
from videomm.training.initialise import initialise_from_teacher
from videomm.training.pairs import (
    TextTable,
    build_label_sets,
    build_pairs,
    build_validation,
    class_embeddings,
    texts_of,
)
from videomm.training.pretrain import (
    ImageTower,
    PretrainConfig,
    PretrainData,
    pool_views,
    pretrain,
)
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

EMBED_DIM = 512
CROP_SIDE = 160  # of the whole tower's training: a step takes half the time that 224 pixels take


@dataclass(frozen=True)
class TinyConfig:
    """All settings of the run.

    Attributes:
        text: Distillation of the sentence encoder.
        tail: Training of the backbone's last blocks and the head on feature maps.
        head: Further training of the head on the trained tail's pooled features.
        align: Training of both towers together.
        whole: Training of the whole image tower on random crops of the pictures against the final
            text tower, which stays as it is.
        whole_share: How far the image tower goes from what it was to what that training makes it.
        processes: Processes for the feature cache.
    """

    text: DistillConfig = field(default_factory=DistillConfig)
    tail: PretrainConfig = field(
        default_factory=lambda: PretrainConfig(
            steps=1000,
            batch_size=384,
            lr=1e-3,
            map_lr_ratio=0.3,
            noise=0.0,
            soft_weight=0.75,
            trained="tail",
        )
    )
    head: PretrainConfig = field(
        default_factory=lambda: PretrainConfig(steps=300, lr=5e-4, measure_every=100)
    )
    align: AlignConfig = field(default_factory=AlignConfig)
    whole: PretrainConfig = field(
        default_factory=lambda: PretrainConfig(
            steps=500,
            batch_size=256,
            trained="whole",
            lr=5e-4,
            trunk_lr=1e-3,
            trunk_start=0,
            map_lr_ratio=0.0,
            noise=0.0,
            measure_every=100,
        )
    )
    whole_share: float = 0.5
    processes: int = 2


class TinyRun:
    """The stages, with what they share.

    Args:
        data: The data folder.
        work: Where stages keep their results.
        config: Settings.
        text_folder: A model folder of this recipe whose text tower is the start, so that nothing
            is distilled; None distils the sentence encoder.
    """

    def __init__(
        self, data: Path, work: Path, config: TinyConfig, text_folder: Path | None = None
    ) -> None:
        self.data, self.work, self.config = data, work, config
        self.text_folder = text_folder
        self.vocabulary = load_source_vocabulary()
        self.pieces = trim_vocabulary(self.vocabulary)
        self.text_config = TextTowerConfig(vocab_size=len(self.pieces))
        self.corpus: TextCorpus = build_corpus(data, whole_words(self.pieces), seed=SEED)
        self.train = load_split(data, "train")
        self.val = load_split(data, "val")
        # A room about which only numbers are known has no text.
        self.keep = [number for number, row in enumerate(self.train) if texts_of(row)]
        tokenizer = write_tokenizer(
            work / "tokenizer", self.pieces, self.text_config.context_length
        )
        self.ids = tokenize(tokenizer, self.corpus.all_texts, self.text_config.context_length)

    def embed_teacher(self) -> npt.NDArray[np.float16]:
        """Stage 1: the sentence encoder's embeddings of all texts, float16 (T, 384)."""
        return cache_teacher(self.corpus.all_texts, self.work / "teacher")

    def distill_text(self, teacher: npt.NDArray[np.float16]) -> TextTransformer:
        """Stage 2: the text tower learns the sentence encoder, or is taken as given."""
        seed_everything(SEED)
        tower = build_text_tower(self.text_config, EMBED_DIM)
        if self.text_folder is not None:
            state = load_file(self.text_folder / WEIGHTS_FILE)
            parts = (name for name in state if name.startswith("text."))
            tower.load_state_dict({p.removeprefix("text."): state[p].float() for p in parts})
            self.report_fidelity("given text tower", tower, teacher)
            return tower
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

    def cache_images(self) -> None:
        """Stage 3: feature maps of all views from the frozen part of the backbone."""
        cache_features(self.data, self.work, self.train, self.val, processes=self.config.processes)

    def train_images(self, teacher: npt.NDArray[np.float16]) -> tuple[ImageTower, PretrainData]:
        """Stages 4 and 5: the last blocks with the head, then the head alone in larger batches.

        Returns:
            The trained tower, and the pooled features and texts it was trained on.
        """
        seed_everything(SEED)
        clip = build_clip(EMBED_DIM, self.text_config)
        trunk = cast(nn.Module, cast(nn.Module, clip.visual).trunk)
        trunk.load_state_dict(build_backbone(self.data).state_dict())
        tower = ImageTower(cast(nn.Module, clip.visual), teacher.shape[1], EMBED_DIM)
        data = self.pretrain_data(teacher, self.pool_all(tower, "pooled_first"))
        maps = replace(data, **self.all_maps())
        pretrain(tower, maps, self.work / "tail.pt", self.config.tail)
        data = replace(data, **self.pool_all(tower, "pooled"))
        pretrain(tower, data, self.work / "head.pt", self.config.head)
        return tower, data

    def maps(self, split: str, view: str) -> npt.NDArray[np.float16]:
        """The cached feature maps of a view; of training rows, those that have texts."""
        folder = self.work / "features" / f"{split}_{view}"
        if split == "val":
            return load_shards(folder, len(self.val))
        return load_shards(folder, len(self.train))[self.keep]

    def all_maps(self) -> dict[str, Any]:
        """Feature maps as the fields ``views`` and ``val_views`` of `PretrainData`."""
        return {
            "views": [self.maps("train", view) for view in VIEWS],
            "val_views": {EVAL_VIEW: self.maps("val", EVAL_VIEW)},
        }

    def pool_all(self, tower: ImageTower, name: str) -> dict[str, Any]:
        """Pooled features as the fields ``views`` and ``val_views``, kept on disk."""

        def pool(split: str, view: str) -> npt.NDArray[np.float16]:
            path = self.work / name / f"{split}_{view}.npy"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished = path.with_suffix(".part.npy")
                np.save(unfinished, pool_views(tower, self.maps(split, view)))
                unfinished.replace(path)
            return cast(npt.NDArray[np.float16], np.load(path))

        return {
            "views": [pool("train", view) for view in VIEWS],
            "val_views": {EVAL_VIEW: pool("val", EVAL_VIEW)},
        }

    def pretrain_data(
        self, teacher: npt.NDArray[np.float16], pooled: dict[str, Any]
    ) -> PretrainData:
        """Pooled features of the untrained backbone, their class logits, and all texts."""
        classifier = cast(nn.Module, build_backbone(self.data, original=True).classifier)
        with torch.no_grad():
            logits = [
                classifier(torch.from_numpy(view).float())[:, 1:].half().numpy()
                for view in pooled["views"]
            ]
        table = TextTable(self.corpus.all_texts)
        sentences = torch.from_numpy(teacher).float()
        kept = [self.train[number] for number in self.keep]
        return PretrainData(
            **pooled,
            logits=logits,
            pairs=build_pairs(kept, table),
            sentences=sentences,
            classes=class_embeddings(self.data, table, sentences),
            label_sets=build_label_sets(kept, table),
            validation=build_validation(self.val, table),
        )

    def align_towers(
        self,
        text_tower: TextTransformer,
        images: ImageTower,
        data: PretrainData,
        teacher: npt.NDArray[np.float16],
    ) -> None:
        """Stage 6: both towers together; the text map becomes the text tower's projection."""
        with torch.no_grad():
            cast(Tensor, text_tower.text_projection).copy_(images.text_map)
        aligned = AlignData(data, self.ids, teacher, len(self.corpus.train))
        pair = TowerPair(text_tower, images)
        align(pair, aligned, self.work / "align.pt", self.config.align, self.config.head)
        self.report_fidelity("align", text_tower, teacher)

    def train_whole(
        self, text_tower: TextTransformer, images: ImageTower, data: PretrainData
    ) -> None:
        """Stage 7: all of the image tower from pixels, against the text tower as it has become.

        The tower ends between what it was and what it became, which is better than either
        (Wortsman et al., 2022, https://arxiv.org/abs/2109.01903).
        """
        rows = [*data.pairs.text_rows, *(labels.rows.flatten() for labels in data.label_sets)]
        used = torch.cat([torch.as_tensor(part) for part in rows]).unique()
        used = torch.cat([used, validation_rows(data)]).unique()
        states = torch.zeros(len(self.ids), data.sentences.shape[1])
        states[used] = embed_ids(text_tower, self.ids[used])
        with torch.no_grad():
            images.text_map.copy_(cast(Tensor, text_tower.text_projection))
        archive = ImageArchive(self.data)
        dataset = ViewDataset(archive, self.val, EVAL_VIEW, SEED)
        val = np.concatenate([batch.half().numpy() for batch in iterate_views(dataset, 64)])
        data = replace(
            data,
            val_views={EVAL_VIEW: val},
            logits=[data.logits[VIEWS.index(EVAL_VIEW)]],
            sentences=states,
        )
        kept = [self.train[number] for number in self.keep]
        before = {name: value.clone() for name, value in images.state_dict().items()}
        crops = replace(data, views=RandomCrops(archive, kept, CROP_SIDE))
        pretrain(images, crops, self.work / "whole.pt", self.config.whole)
        images.load_state_dict(
            {
                name: before[name].lerp(value, self.config.whole_share)
                if value.is_floating_point()
                else value
                for name, value in images.state_dict().items()
            }
        )

    def write(self, out: Path, text_tower: TextTransformer, images: ImageTower) -> None:
        """Stage 8: the folder, checked against the trained towers."""
        export(
            out,
            images.visual,
            text_tower,
            self.text_config,
            pieces=self.pieces,
            scale=images.scale.item(),
        )
        dataset = ViewDataset(ImageArchive(self.data), self.val[:8], EVAL_VIEW, SEED)
        batch = next(iterate_views(dataset, 8))
        texts = list(self.corpus.val_captions[:8])
        cosine = check_export(out, images.visual, text_tower, texts, batch)
        if cosine < 0.9999:
            raise RuntimeError(f"open_clip gives other outputs from {out}: cosine {cosine:.6f}")
        size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        report("export", folder=str(out), cosine=round(cosine, 6), megabytes=round(size, 1))

    def run(self, out: Path) -> None:
        """All stages."""
        teacher = self.embed_teacher()
        text_tower = self.distill_text(teacher)
        self.cache_images()
        images, data = self.train_images(teacher)
        self.align_towers(text_tower, images, data, teacher)
        self.train_whole(text_tower, images, data)
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
        "--text", type=Path, help="an earlier model folder whose text tower is the start"
    )
    parser.add_argument("--threads", type=int, default=0, help="torch threads (0: torch decides)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all stages; exit code 0."""
    options = parse_arguments(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    TinyRun(options.data, options.work, TinyConfig(), options.text).run(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
