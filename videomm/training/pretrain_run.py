"""A run of pre-training on a user's own pairs: a TOML file in, an encoder's folder out.

The folder is the run's state as well: a run that was killed and is resumed ends as one that was
not. `open_clip_config.json`, which makes it an encoder, comes last.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videomm.encoder import load_encoder
from videomm.errors import InvalidInputError
from videomm.render.folder import check_replaceable
from videomm.text_models import TEXT_FOLDER
from videomm.training.export import CONFIG_FILE, WEIGHTS_FILE, write_encoder
from videomm.training.pair_data import Prepared, build_data, evaluation_transform, prepare
from videomm.training.picture_pairs import PictureFiles, read_pictures
from videomm.training.pretrain import PretrainConfig, pretrain, validate
from videomm.training.pretrain_card import build_card
from videomm.training.pretrain_config import OWN_TEXT, PretrainRunConfig
from videomm.training.progress import seed_everything
from videomm.training.ranks import join_ranks, rank, wait_for_all
from videomm.training.run_folder import check_same, keep_split, to_json, write_text
from videomm.training.start import Start, join_towers, load_start, put_back, replace_text
from videomm.training.towers import TowerPair

SETTINGS, SPLIT, LOG, CHECKPOINT = "pretrain.json", "split.csv", "log.jsonl", "checkpoint.pt"
METRICS, CARD = "metrics.json", "README.md"
# What a tokenizer's `save_pretrained` may leave.
TOKENIZER_FILES = {
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model"),
}
OURS = {SETTINGS, SPLIT, LOG, METRICS, CARD, CONFIG_FILE, WEIGHTS_FILE, CHECKPOINT}
LEAST_COSINE = 0.9999  # between the trained towers and what is loaded from the folder


def pretrain_on_pairs(
    config: PretrainRunConfig,
    *,
    resume: bool = False,
    force: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Train an encoder on pictures with texts and write it to a folder.

    Under torchrun every process calls this; the first one alone writes.

    Args:
        config: of `read_config`.
        resume: go on with a run that was stopped, or begin where there is none.
        force: replace an earlier run.
        progress: draw progress bars on stderr where that is a terminal.

    Returns:
        What `metrics.json` holds.

    Raises:
        InvalidInputError: the folder may not be written, a resumed run does not fit its folder,
            or the data cannot be used.
        ModelNotAvailableError: a tower's weights cannot be had.
    """
    folder = Path(config.out)
    join_ranks()
    progress = progress and rank() == 0
    check_out(folder, resume=resume, force=force)
    settings = {key: value for key, value in config.to_dict().items() if key != "out"}
    if resume and (folder / SETTINGS).exists():
        check_same(json.loads((folder / SETTINGS).read_text()), settings, folder)
        if (folder / CONFIG_FILE).exists() and not (folder / CHECKPOINT).exists():
            done: dict[str, Any] = json.loads((folder / METRICS).read_text())
            return done
    pictures, notes = read_pictures(config.data)
    seed_everything(config.seed)
    first = load_start(config.image)
    start = first if config.text.start == OWN_TEXT else replace_text(first, config.text)
    prepared = prepare(pictures, notes, config, progress=progress)
    wait_for_all()
    if rank() == 0:
        if not (resume and (folder / SETTINGS).exists()):
            _clear(folder)
            write_text(folder / SETTINGS, to_json(settings))
        keep_split(folder / SPLIT, prepared.split, "pictures", "some")
    wait_for_all()
    metrics = _train_and_measure(first, start, prepared, config, progress=progress)
    if rank() == 0:
        write_text(folder / METRICS, to_json(metrics))
        write_text(folder / CARD, build_card(folder.resolve().name, settings, metrics))
        write_encoder(folder, start.model, start.config, start.preprocess, start.tokenizer)
        _check_written(folder, start, prepared)
        (folder / CHECKPOINT).unlink()
    wait_for_all()
    return metrics


def check_out(folder: Path, *, resume: bool, force: bool) -> None:
    """See that a run may write to a folder; see `check_replaceable`.

    Raises:
        InvalidInputError: it may not.
    """
    if resume and force:
        raise InvalidInputError("give resume or force, not both")
    names = {*OURS, *(f"{name}.part" for name in OURS), *TOKENIZER_FILES, TEXT_FOLDER, ".part"}
    words = ("an earlier run, --resume to go on with it", "no run's", "runs of pre-training")
    begun = (folder / SETTINGS).is_file() or (folder / f"{SETTINGS}.part").is_file()
    check_replaceable(folder, lambda name: name in names, words, force=force or (resume and begun))


def _train_and_measure(
    first: Start, start: Start, prepared: Prepared, config: PretrainRunConfig, *, progress: bool
) -> dict[str, Any]:
    """Train the towers of `start` in place, and measure them beside those of `first`."""
    folder = Path(config.out)
    before = None
    pair = join_towers(start, config.image, frozen_text=config.text.frozen)
    data = build_data(start, pair, prepared, config, progress=progress)
    if config.image.weights == "pretrained" and rank() == 0:
        there = join_towers(first, config.image, frozen_text=False)
        before = validate(there, replace(data, ids=first.tokenize(prepared.texts)))
    log = _Log(folder / LOG)
    settings = loop_config(config, pair)
    pretrain(pair, data, folder / CHECKPOINT, settings, log=log, progress=progress)
    put_back(start, pair)
    return {
        "figures": validate(pair, data),
        "start": before,
        "counts": {
            "train": len(prepared.train),
            "val": len(prepared.val),
            "texts": len({text for p in prepared.train for text in p.texts}),
            "val_texts": len(data.validation.caption_rows),
        },
        "parameters": {
            "image": count_parameters(start.model.visual),
            "text": count_parameters(start.text),
        },
        "history": log.rows,
        "skipped": [asdict(item) for item in prepared.skipped],
        "warnings": prepared.notes,
    }


def count_parameters(tower: Any) -> int:
    """How many numbers are in a tower; shared layers count once."""
    return sum(p.numel() for p in tower.parameters())


def loop_config(config: PretrainRunConfig, pair: TowerPair) -> PretrainConfig:
    """The loop's settings: the user's, and what follows from the towers."""
    settings = {key: value for key, value in config.train.to_dict().items() if key != "crop_size"}
    untrained = config.image.weights == "random" or config.text.weights == "random"
    # Dropout between trunk and head; a tower that is all trunk has no such place.
    dropout = 0.0 if pair.image.head_module is None else PretrainConfig.feature_dropout
    return PretrainConfig(
        **settings,
        token_table=untrained,
        feature_dropout=dropout,
        ema_decay=0.98,
        seed=config.seed,
    )


class _Log:
    """`log.jsonl`: a row a measurement. A resumed run writes what an unbroken one does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def __call__(self, stage: str, **values: Any) -> None:
        # A killed run may have measured a step that it did not save.
        self.rows = [row for row in self.rows if row["step"] < values["step"]]
        self.rows.append({"stage": stage, **values})
        write_text(self._path, "".join(json.dumps(row) + "\n" for row in self.rows))


def _check_written(folder: Path, start: Start, prepared: Prepared) -> None:
    """See that the folder gives what was trained, through the encoder that commands load."""
    texts = [text for picture in prepared.val for text in picture.texts][:8]
    files, whole = PictureFiles(), evaluation_transform(start.preprocess)
    pictures = [files.read(row) for row in prepared.val[:4]]
    model: Any = start.model.eval()
    try:
        encoder = load_encoder(str(folder))
        given = [encoder.encode_text(texts)]
        given += [encoder.encode_frames(np.asarray(picture)[None]) for picture in pictures]
        with torch.no_grad():
            trained = [model.encode_text(start.tokenize(texts))]
            trained += [model.encode_image(whole(picture)[None]) for picture in pictures]
        loaded = torch.from_numpy(np.concatenate(given))
        cosine = torch.cosine_similarity(loaded, torch.cat(trained))
        if cosine.min() < LEAST_COSINE:
            raise RuntimeError(f"{folder} gives other embeddings: cosine {cosine.min():.6f}")
    except BaseException:
        (folder / CONFIG_FILE).unlink()  # it is no encoder then
        raise


def _clear(folder: Path) -> None:
    """Make the folder, and remove an earlier run; the encoder goes first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG_FILE, *sorted(OURS | TOKENIZER_FILES)):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / TEXT_FOLDER, ignore_errors=True)
