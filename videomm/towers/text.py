"""The text tower: open_clip's text transformer in its plainest form, and its tokenizer."""

from __future__ import annotations

import html
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Tokenize = Callable[[Sequence[str]], Tensor]


class _Block(nn.Module):
    """Pre-norm attention and a hidden layer, each added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers = [
            ("c_fc", nn.Linear(width, 4 * width)),
            ("gelu", nn.GELU()),
            ("c_proj", nn.Linear(4 * width, width)),
        ]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        normed = self.ln_1(states)
        states = states + self.attn(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
        output: Tensor = states + self.mlp(self.ln_2(states))
        return output


class TextTower(nn.Module):
    """Token ids to embeddings: a causal transformer, read at the end token (Radford et al. 2021).

    Args:
        embed_dim: D, width of the shared space.
        vocab_size: number of tokens.
        context_length: L, tokens a text at most.
        width: of the states.
        heads: of attention.
        layers: blocks.
        eos_id: the end token.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        vocab_size: int,
        context_length: int,
        width: int,
        heads: int,
        layers: int,
        eos_id: int,
    ) -> None:
        super().__init__()
        self.eos_id = eos_id
        # Given a table it draws none: on the meta device that imports torch's compiler, seconds.
        self.token_embedding = nn.Embedding.from_pretrained(torch.empty(vocab_size, width))
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.transformer = nn.ModuleDict({"resblocks": blocks})
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids int64 (B, L) to embeddings (B, D), not yet of length 1."""
        # What comes behind the end token cannot reach it.
        return self.read(ids[:, : int(self._ends(ids).max()) + 1])

    def read(self, ids: Tensor) -> Tensor:
        """The same, and nothing is left out: only shapes decide the arithmetic."""
        count, length = ids.shape
        states = self.token_embedding(ids) + self.positional_embedding[:length]
        mask = torch.ones(length, length, dtype=torch.bool, device=ids.device).triu(1)
        for block in self.transformer["resblocks"]:  # type: ignore[attr-defined]
            states = block(states, mask)
        read = states[torch.arange(count, device=ids.device), self._ends(ids)]
        embeddings: Tensor = self.ln_final(read) @ self.text_projection
        return embeddings

    def _ends(self, ids: Tensor) -> Tensor:
        return (ids == self.eos_id).int().argmax(dim=1)


def clean(text: str) -> str:
    """A text as open_clip cleans it: broken characters mended, HTML unescaped, spaces single."""
    if not text.isascii() or not text.isprintable() or "&" in text:
        import ftfy  # changes nothing in the texts that do not come here, and takes long to import

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split())


def read_tokenizer(path: Path, context_length: int) -> Tokenizer:
    """A `tokenizer.json` that cuts and pads to a length."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(context_length)
    tokenizer.enable_padding(length=context_length)
    return tokenizer


def load_tokenizer(path: Path, context_length: int) -> Tokenize:
    """The tokenizer of a `tokenizer.json`: texts to ids int64 (N, L), cut and padded to L.

    What stands behind the end token has no meaning; open_clip may pad with another id.
    """
    tokenizer = read_tokenizer(path, context_length)

    def tokenize(texts: Sequence[str]) -> Tensor:
        encoded = tokenizer.encode_batch([clean(text) for text in texts])
        return torch.tensor([one.ids for one in encoded])

    return tokenize
