"""TextDecoder: words about a context, one after another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from videomm.config import Config
from videomm.errors import InvalidInputError

# The first ids of every vocabulary.
PAD, UNKNOWN, START, END = range(4)


@dataclass(frozen=True)
class DecoderConfig(Config):
    """Shape of a `TextDecoder`.

    Attributes:
        vocab_size: V, tokens that it knows, the four special ones included.
        context_dim: C, width of the context's tokens.
        width: D, width inside; a multiple of num_heads.
        num_layers: blocks.
        num_heads: attention heads.
        mlp_ratio: width of a block's hidden layer, as a multiple of D.
        max_length: tokens of a text at most, its prompt, start and end included.
        dropout: on embeddings and every residual branch, while training.
    """

    vocab_size: int
    context_dim: int
    width: int = 320
    num_layers: int = 3
    num_heads: int = 5
    mlp_ratio: float = 3.0
    max_length: int = 64
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.vocab_size <= END or self.context_dim < 1:
            raise InvalidInputError(
                f"a decoder needs vocab_size above {END} and context_dim of at least 1, got "
                f"vocab_size={self.vocab_size}, context_dim={self.context_dim}"
            )
        if self.num_heads < 1 or self.width < 1 or self.width % self.num_heads:
            raise InvalidInputError(
                f"width must be a multiple of num_heads, got width={self.width}, "
                f"num_heads={self.num_heads}"
            )
        if self.num_layers < 1 or self.max_length < 2:
            raise InvalidInputError(
                "num_layers must be at least 1 and max_length at least 2, got "
                f"num_layers={self.num_layers}, max_length={self.max_length}"
            )
        if not (0 <= self.dropout < 1 and self.mlp_ratio > 0):
            raise InvalidInputError(
                "dropout must be at least 0 and below 1 and mlp_ratio above 0, got "
                f"dropout={self.dropout}, mlp_ratio={self.mlp_ratio}"
            )


KeysValues = tuple[Tensor, Tensor]


@dataclass
class Memory:
    """What a decoder keeps between the tokens of a text.

    Attributes:
        contexts: keys and values of the context, float (B, H, N, D / H), a pair a layer.
        mask: bool (B, N), True for tokens of the context; None where nothing is padded.
        texts: keys and values of the tokens so far, float (R, H, L, D / H), a pair a layer.
        known: bool (R, L), True for tokens so far that are no padding.
    """

    contexts: list[KeysValues]
    mask: Tensor | None
    texts: list[KeysValues] = field(default_factory=list)
    known: Tensor | None = None

    def select(self, rows: Tensor) -> None:
        """Go on with these rows of texts (R',), in place; contexts stay as they are."""
        self.texts = [(keys[rows], values[rows]) for keys, values in self.texts]
        self.known = None if self.known is None else self.known[rows]


class TextDecoder(nn.Module):
    """Pre-norm Transformer decoder (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).

    Each token attends to the tokens before it and to a context: the places of a picture, the frames
    of a video, or both. Positions of text are learned; the context brings its own. Embeddings going
    in and coming out are the same (Press & Wolf 2017, https://arxiv.org/abs/1608.05859).

    A text is ``START, words, END``. What stands before ``START`` is a prompt: the decoder reads it
    and is not trained to say it. Padding may stand anywhere: nothing attends to it, and it takes no
    position, so prompts of different lengths are padded on the left.

    Args:
        config: shape of the decoder.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Sequential(
            nn.LayerNorm(config.context_dim),
            nn.Linear(config.context_dim, config.width),
            nn.GELU(),
            nn.Linear(config.width, config.width),
            nn.LayerNorm(config.width),
        )
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.max_length, config.width)
        for table in (self.embedding, self.positions):
            nn.init.normal_(table.weight, std=config.width**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self,
        ids: Tensor,
        context: Tensor,
        mask: Tensor | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Logits of the token after each.

        Args:
            ids: int64 (R, L). R is a multiple of B: R / B rows in a row are about one context.
            context: float (B, N, C).
            mask: bool (B, N), True for tokens of the context; None where nothing is padded. Each
                context needs at least one.
            segments: int64 (R, L), for several texts in a row: a token attends to those of its own
                segment alone. None where each row is one text.

        Returns:
            Float (R, L, V); of no meaning at padding.

        Raises:
            InvalidInputError: shapes do not fit, a context has no token, or a text is too long.
        """
        return self.logits(self.hidden(ids, self.remember(context, mask), segments))

    def remember(self, context: Tensor, mask: Tensor | None = None) -> Memory:
        """Look at contexts once; arguments and errors as in `forward`."""
        if context.ndim != 3 or context.shape[2] != self.config.context_dim:
            raise InvalidInputError(
                f"context must be (B, N, {self.config.context_dim}), got {tuple(context.shape)}"
            )
        if mask is not None and mask.shape != context.shape[:2]:
            raise InvalidInputError(
                f"mask must be {tuple(context.shape[:2])}, got {tuple(mask.shape)}"
            )
        if context.shape[1] == 0 or not (mask is None or bool(mask.any(dim=1).all())):
            raise InvalidInputError("each context needs at least one token that is not padding")
        if mask is not None:  # padding may hold anything, NaN included
            context = context.masked_fill(~mask[..., None], 0.0)
        seen = self.project(context)
        return Memory([block.context_keys(seen) for block in self.blocks], mask)  # type: ignore[operator]

    def step(self, ids: Tensor, memory: Memory) -> Tensor:
        """Log-probabilities of the next token, float32 (R, V), given the next ids (R, L) of texts.

        The memory grows by them.
        """
        last = self.hidden(ids, memory, keep=True)[:, -1]
        return self.logits(last).float().log_softmax(-1)

    def logits(self, states: Tensor) -> Tensor:
        """States (..., D) of `hidden` to logits (..., V) of the token after each."""
        return states @ self.embedding.weight.T

    def hidden(
        self, ids: Tensor, memory: Memory, segments: Tensor | None = None, *, keep: bool = False
    ) -> Tensor:
        """States (R, L, D) before the output; with `keep` the memory grows by the ids."""
        if ids.ndim != 2 or len(ids) % len(memory.contexts[0][0]):
            raise InvalidInputError(
                f"ids must be (R, L) with R a multiple of the {len(memory.contexts[0][0])} "
                f"contexts, got {tuple(ids.shape)}"
            )
        known = ids != PAD
        if memory.known is not None:
            known = torch.cat((memory.known, known), dim=1)
        seen = _who_sees_whom(known, ids.shape[1], segments)
        # A token's position is the number of tokens before it that it sees.
        places = seen.sum(-1) - 1
        if int(places.max()) >= self.config.max_length:
            raise InvalidInputError(
                f"a text may have {self.config.max_length} tokens, got {int(places.max()) + 1}"
            )
        x = self.dropout(self.embedding(ids) + self.positions(places))
        texts = []
        for number, block in enumerate(self.blocks):
            past = memory.texts[number] if memory.texts else None
            x, keys = block(x, past, seen, memory.contexts[number], memory.mask)
            texts.append(keys)
        if keep:
            memory.texts, memory.known = texts, known
        states: Tensor = self.norm(x)
        return states


def _who_sees_whom(known: Tensor, length: int, segments: Tensor | None) -> Tensor:
    """Bool (R, L, P + L): the last L tokens see themselves, and what stands before and is known."""
    total = known.shape[1]
    itself = torch.eye(total, dtype=torch.bool, device=known.device)[total - length :]
    before = torch.ones(length, total, dtype=torch.bool, device=known.device)
    before = before.tril(total - length)
    # Padding sees itself, as a softmax over nothing is NaN.
    seen = (before & known[:, None, :]) | itself
    return seen if segments is None else seen & (segments[:, :, None] == segments[:, None, :])


class _Block(nn.Module):
    """Attention to the text so far, to the context, and a hidden layer."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, hidden = config.width, int(config.width * config.mlp_ratio)
        self.num_heads = config.num_heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.context = nn.Linear(width, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.norm3 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(config.dropout)

    def context_keys(self, context: Tensor) -> KeysValues:
        """Keys and values (B, H, N, D / H) of projected contexts (B, N, D)."""
        keys, values = self.context(context).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(
        self,
        x: Tensor,
        past: KeysValues | None,
        seen: Tensor,
        context: KeysValues,
        mask: Tensor | None,
    ) -> tuple[Tensor, KeysValues]:
        """Tokens (R, L, D) to the same, and the text's keys and values with theirs."""
        q, k, v = (self._split(part) for part in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        if past is not None:
            k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
        x = x + self.dropout(self.out(_attend(q, k, v, seen[:, None])))
        # All rows of one context ask it at once.
        q = self._split(self.query(self.norm2(x)).reshape(len(context[0]), -1, x.shape[-1]))
        attended = _attend(q, *context, None if mask is None else mask[:, None, None])
        x = x + self.dropout(self.cross_out(attended.view(x.shape)))
        return x + self.dropout(self.mlp(self.norm3(x))), (k, v)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """Heads' queries (B, H, L, D / H), keys and values to what they attend to (B, L, D).

    Written out, since torch's own takes four times as long on a CPU to train with a mask.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
