"""Losses for contrastive training and for distillation. Tensors in, a scalar out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(
    image: Tensor, text: Tensor, positives: Tensor, scale: Tensor | float
) -> Tensor:
    """InfoNCE in both directions, where a row may have several right columns.

    CLIP's loss (Radford et al., 2021, https://arxiv.org/abs/2103.00020, figure 3) with the target
    spread evenly over all positives, as in supervised contrastive learning (Khosla et al., 2020,
    https://arxiv.org/abs/2004.11362): two images of one label are not each other's negatives.

    Args:
        image: Embeddings (B, D), L2-normalised.
        text: Embeddings (T, D), L2-normalised.
        positives: Bool (B, T): which texts are right for which images; at least one a row and one
            a column.
        scale: Inverse temperature.

    Returns:
        The mean of the image-to-text and the text-to-image cross-entropy.
    """
    logits = scale * image @ text.T
    target = positives.to(logits.dtype)
    to_text = -(target / target.sum(1, keepdim=True) * F.log_softmax(logits, 1)).sum(1).mean()
    to_image = -(target / target.sum(0, keepdim=True) * F.log_softmax(logits, 0)).sum(0).mean()
    return (to_text + to_image) / 2


def naming_loss(image: Tensor, text: Tensor, right: Tensor, scale: Tensor | float) -> Tensor:
    """Cross-entropy of each image over the texts of all that are not right for it, and its own.

    Texts of other images that are right as well, such as "a dog" for "a dog running", are neither
    called for nor called wrong.

    Args:
        image: Embeddings (S, D), L2-normalised.
        text: Embeddings (S, D), L2-normalised; text i was drawn for image i.
        right: Bool (S, S): which texts are right for which images.
        scale: Inverse temperature.

    Returns:
        The sum over the images.
    """
    own = torch.eye(len(image), dtype=torch.bool)
    logits = (scale * image @ text.T).masked_fill(right & ~own, -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(image)), reduction="sum")


def soft_target_loss(
    image: Tensor, class_text: Tensor, target: Tensor, scale: Tensor | float
) -> Tensor:
    """Cross-entropy to another model's posterior over classes that are given as texts.

    Knowledge distillation (Hinton et al., 2015, https://arxiv.org/abs/1503.02531) with the
    classifier's weights replaced by the embedded class names.

    Args:
        image: Embeddings (B, D), L2-normalised.
        class_text: Embeddings of the class names (C, D), L2-normalised.
        target: Probabilities (B, C), rows sum to 1.
        scale: Inverse temperature.

    Returns:
        The mean cross-entropy less the target's entropy (the KL divergence).
    """
    log_student = F.log_softmax(scale * image @ class_text.T, dim=1)
    return F.kl_div(log_student, target, reduction="batchmean")


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of one less the cosine between rows (N, D); the teacher's rows are normalised."""
    return 1 - (F.normalize(student, dim=-1) * teacher).sum(-1).mean()


def relational_loss(student: Tensor, teacher: Tensor, scale: float = 20.0) -> Tensor:
    """Keep who is near whom: KL between similarity distributions within a batch.

    Similar in spirit to relational distillation (Park et al., 2019,
    https://arxiv.org/abs/1904.05068), with the teacher's embeddings as the anchors.

    Args:
        student: Embeddings (N, D), any length.
        teacher: Embeddings (N, D), L2-normalised.
        scale: Inverse temperature of both distributions.

    Returns:
        The mean KL divergence from the teacher's distribution.
    """
    target = F.softmax(scale * teacher @ teacher.T, dim=1)
    log_student = F.log_softmax(scale * F.normalize(student, dim=-1) @ teacher.T, dim=1)
    return F.kl_div(log_student, target, reduction="batchmean")


def distillation_loss(student: Tensor, teacher: Tensor, relational_weight: float = 0.2) -> Tensor:
    """`cosine_loss` plus a weight times `relational_loss`."""
    loss = cosine_loss(student, teacher)
    if relational_weight and len(student) > 1:
        loss = loss + relational_weight * relational_loss(student, teacher)
    return loss


def shared_positives(left: Tensor, right: Tensor) -> Tensor:
    """Bool (len(left), len(right)): where two lists of text ids hold the same id."""
    return torch.eq(left.unsqueeze(1), right.unsqueeze(0))
