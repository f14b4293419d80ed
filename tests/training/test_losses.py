"""Losses against naive NumPy loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videomm.training.losses import (
    contrastive_loss,
    cosine_loss,
    distillation_loss,
    naming_loss,
    relational_loss,
    soft_target_loss,
)


def unit(rows: int, width: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, width))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def naive_contrastive(
    image: np.ndarray, text: np.ndarray, right: np.ndarray, scale: float
) -> float:
    logits = scale * image @ text.T
    rows = []
    for scores, good in zip(logits, right, strict=True):
        rows.append(-np.mean([np.log(softmax(scores)[i]) for i in np.flatnonzero(good)]))
    columns = []
    for scores, good in zip(logits.T, right.T, strict=True):
        columns.append(-np.mean([np.log(softmax(scores)[i]) for i in np.flatnonzero(good)]))
    return float(np.mean(rows) + np.mean(columns)) / 2


@pytest.mark.parametrize("seed", range(3))
def test_contrastive_loss_with_shared_positives(seed: int) -> None:
    image, text = unit(5, 8, seed), unit(7, 8, seed + 100)
    right = np.random.default_rng(seed).random((5, 7)) < 0.3
    right[np.arange(5), np.arange(5)] = True
    right[0, 5:] = True
    loss = contrastive_loss(
        torch.tensor(image), torch.tensor(text), torch.tensor(right), torch.tensor(9.0)
    )
    assert loss.item() == pytest.approx(naive_contrastive(image, text, right, 9.0))


@pytest.mark.parametrize("seed", range(3))
def test_naming_loss_passes_over_what_is_also_right(seed: int) -> None:
    image, text = unit(6, 8, seed), unit(6, 8, seed + 100)
    right = np.random.default_rng(seed).random((6, 6)) < 0.3
    right[np.arange(6), np.arange(6)] = True
    wanted = 0.0
    for i in range(6):
        others = [j for j in range(6) if not right[i, j]]
        scores = 9.0 * text[[i, *others]] @ image[i]
        wanted -= np.log(softmax(scores)[0])
    loss = naming_loss(torch.tensor(image), torch.tensor(text), torch.tensor(right), 9.0)
    assert loss.item() == pytest.approx(wanted)


def test_naming_loss_of_no_image_is_zero() -> None:
    none = torch.zeros(0, 8)
    assert naming_loss(none, none, torch.zeros(0, 0, dtype=torch.bool), 9.0) == 0


def test_soft_target_loss_is_the_kl_divergence() -> None:
    image, classes = unit(4, 6, 0), unit(5, 6, 1)
    target = np.stack([softmax(row) for row in np.random.default_rng(2).normal(size=(4, 5))])
    total = 0.0
    for row, wanted in zip(image, target, strict=True):
        given = softmax(3.0 * classes @ row)
        total += float((wanted * np.log(wanted / given)).sum())
    loss = soft_target_loss(torch.tensor(image), torch.tensor(classes), torch.tensor(target), 3.0)
    assert loss.item() == pytest.approx(total / 4)


def test_distillation_losses() -> None:
    teacher, student = unit(4, 6, 0), unit(4, 6, 1) * 3.0
    cosines = [float(s @ t) / 3.0 for s, t in zip(student, teacher, strict=True)]
    assert cosine_loss(torch.tensor(student), torch.tensor(teacher)).item() == pytest.approx(
        1 - np.mean(cosines)
    )
    total = 0.0
    for s, t in zip(student / 3.0, teacher, strict=True):
        wanted, given = softmax(20 * teacher @ t), softmax(20 * teacher @ s)
        total += float((wanted * np.log(wanted / given)).sum())
    relational = relational_loss(torch.tensor(student), torch.tensor(teacher))
    assert relational.item() == pytest.approx(total / 4)
    both = distillation_loss(torch.tensor(student), torch.tensor(teacher), 0.5)
    assert both.item() == pytest.approx(1 - np.mean(cosines) + 0.5 * total / 4)


def test_a_perfect_student_has_no_loss() -> None:
    teacher = torch.tensor(unit(4, 6, 0))
    assert distillation_loss(teacher * 2, teacher).item() == pytest.approx(0, abs=1e-6)
