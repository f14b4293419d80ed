"""Start the text tower from the teacher's own layers.

The teacher is a post-norm Transformer, open_clip's is pre-norm. A post-norm layer computes
``h' = LN(h + f(h))``, a pre-norm one ``x' = x + f(LN(x))``. If x is the post-norm sum before its
layer norm, times some scale, the two agree but for that norm's anisotropic gain, because a layer
norm does not see the scale. So every output projection is multiplied by the ratio of the standard
deviations before and after the norms passed so far, measured on text. The causal mask and the
missing layers make it a starting point only, to be mended by distillation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

KEPT_LAYERS = (0, 2, 4, 5)  # of these four the pruned teacher keeps most (cosine 0.88)


@torch.no_grad()
def norm_ratios(tokenizer: Any, teacher: Any, texts: Sequence[str]) -> dict[nn.Module, float]:
    """For each layer norm of the teacher: input deviation over output deviation on the texts."""
    ratios: dict[nn.Module, float] = {}

    def measure(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ratios[module] = float(inputs[0].std(-1).mean() / output.std(-1).mean())

    handles = [
        module.register_forward_hook(measure)
        for module in teacher.modules()
        if isinstance(module, nn.LayerNorm)
    ]
    teacher(**tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt"))
    for handle in handles:
        handle.remove()
    return ratios


def copy_norm(target: nn.LayerNorm, source: nn.LayerNorm) -> None:
    """Copy gain and bias."""
    target.weight.copy_(source.weight)
    target.bias.copy_(source.bias)


@torch.no_grad()
def initialise_from_teacher(
    tower: TextTransformer,
    tokenizer: Any,
    teacher: Any,
    piece_ids: Sequence[int],
    texts: Sequence[str],
) -> None:
    """Copy embeddings and layers `KEPT_LAYERS` into the tower, in place.

    Args:
        tower: Width, heads and feed-forward width as the teacher's.
        tokenizer: The teacher's tokenizer.
        teacher: The teacher.
        piece_ids: For each id of the student's vocabulary, the teacher's id.
        texts: A few hundred sentences to measure scales on.
    """
    ratios = norm_ratios(tokenizer, teacher, texts)
    embeddings = teacher.embeddings
    words = embeddings.word_embeddings.weight[torch.tensor(piece_ids)]
    words = words + embeddings.token_type_embeddings.weight[0]
    # The stream starts at about unit deviation; all that follows is scaled to it.
    scale = 1.0 / float(words.std(-1).mean())
    tower.token_embedding.weight.copy_(words * scale)
    positions = embeddings.position_embeddings.weight[: tower.num_pos]
    tower.positional_embedding.copy_(positions * scale)
    norm = embeddings.LayerNorm
    for block, index in zip(tower.transformer.resblocks, KEPT_LAYERS, strict=True):
        layer = teacher.encoder.layer[index]
        attention = layer.attention.self
        copy_norm(block.ln_1, norm)
        scale *= ratios[norm]
        parts = (attention.query, attention.key, attention.value)
        block.attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        block.attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        block.attn.out_proj.weight.copy_(layer.attention.output.dense.weight * scale)
        block.attn.out_proj.bias.copy_(layer.attention.output.dense.bias * scale)
        norm = layer.attention.output.LayerNorm
        copy_norm(block.ln_2, norm)
        scale *= ratios[norm]
        block.mlp.c_fc.weight.copy_(layer.intermediate.dense.weight)
        block.mlp.c_fc.bias.copy_(layer.intermediate.dense.bias)
        block.mlp.c_proj.weight.copy_(layer.output.dense.weight * scale)
        block.mlp.c_proj.bias.copy_(layer.output.dense.bias * scale)
        norm = layer.output.LayerNorm
    copy_norm(tower.ln_final, norm)
