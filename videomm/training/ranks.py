"""One training over several processes (ranks), as torchrun starts them; in one process nothing.

Every rank draws the same batch and computes its share of what is expensive, the towers; the rest
is computed by all on all rows, so the loss is that of one process. A tower's gradient on a rank is
that of its own rows, and the ranks' gradients add up to the whole one. What a tower draws or counts
within itself is a rank's own: the dropout of a text model, the batch statistics of an untrained
trunk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


def join_ranks() -> None:
    """Meet the other ranks where torchrun started this process."""
    if "TORCHELASTIC_RUN_ID" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("gloo")


def rank() -> int:
    """This process's number; the first, 0, alone writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def wait_for_all() -> None:
    """Go on when every rank is here."""
    if world_size() > 1:
        distributed.barrier()


def share(rows: Tensor) -> Tensor:
    """This rank's part of rows (N, ...); parts differ by one row at most."""
    return rows.tensor_split(world_size())[rank()]


def gather(part: Tensor, total: int) -> Tensor:
    """Put the ranks' shares together; gradients flow to this rank's own.

    Args:
        part: What this rank computed for its `share` of the rows, (n, D).
        total: Rows of all ranks.

    Returns:
        (total, D) in the order of the rows.
    """
    if world_size() == 1:
        return part
    sizes = [len(rows) for rows in torch.empty(total, 0).tensor_split(world_size())]
    padded = part.new_zeros(max(sizes), *part.shape[1:])
    padded[: len(part)] = part.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    whole = [given[:size] for given, size in zip(parts, sizes, strict=True)]
    whole[rank()] = part
    return torch.cat(whole)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the ranks' gradients of what each computed for its share alone, in place."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if gradients:
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, summed in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(summed.view_as(gradient))
