"""The small text tower: a trimmed WordPiece vocabulary and open_clip's own text transformer.

open_clip's configuration cannot switch on its padding mask, so the tower keeps the causal mask and
pools at the end token (as CLIP does, Radford et al., 2021): what comes after that token cannot
reach it, and padding cannot change an embedding.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CLIPTextCfg, _build_text_tower
from open_clip.transformer import TextTransformer, text_global_pool
from tokenizers import Tokenizer
from torch import Tensor, nn

from videomm.training.teacher import WIDTH, teacher_folder

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class TextTowerConfig:
    """Shape of the text tower, in open_clip's ``text_cfg`` words."""

    vocab_size: int
    context_length: int = 32
    width: int = WIDTH
    heads: int = 12
    layers: int = 4
    pad_id: int = 0
    eos_id: int = 3
    pool_type: str = "eos"
    hf_tokenizer_name: str = "tokenizer"  # any name: open_clip reads the folder's own tokenizer

    def as_text_cfg(self) -> dict[str, Any]:
        """The dictionary for ``open_clip_config.json``."""
        return asdict(self)


def keep_piece(piece: str) -> bool:
    """Whether a WordPiece entry stays: special tokens and plain ASCII ones."""
    if piece in SPECIAL_TOKENS:
        return True
    return piece.isascii() and not (
        piece.startswith("[") and piece.endswith("]") and len(piece) > 2
    )


def trim_vocabulary(vocab: dict[str, int]) -> list[str]:
    """The kept pieces, special tokens first, the rest in the original order.

    Args:
        vocab: Piece to id of the original tokenizer.

    Returns:
        Pieces; a piece's place is its new id, so padding is 0 and the end token is 3.
    """
    ordered = sorted(vocab, key=vocab.__getitem__)
    kept = [p for p in ordered if keep_piece(p) and p not in SPECIAL_TOKENS]
    return [*SPECIAL_TOKENS, *kept]


def whole_words(pieces: list[str]) -> list[str]:
    """Pieces that are lower-case words of at least three letters."""
    return [p for p in pieces if p.isalpha() and p.islower() and len(p) >= 3]


def load_source_vocabulary() -> dict[str, int]:
    """Piece to id of the teacher's tokenizer."""
    raw = json.loads((teacher_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    return cast(dict[str, int], raw["model"]["vocab"])


def write_tokenizer(folder: Path, pieces: list[str], context_length: int) -> Tokenizer:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` with the trimmed vocabulary.

    Args:
        folder: The model folder.
        pieces: Pieces in the order of their ids.
        context_length: Tokens a text at most, special tokens included.

    Returns:
        The tokenizer as it was written.
    """
    raw = json.loads((teacher_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {piece: index for index, piece in enumerate(pieces)}
    raw["model"]["vocab"] = ids
    raw["truncation"] = raw["padding"] = None
    raw["added_tokens"] = [
        {**token, "id": ids[token["content"]]}
        for token in raw["added_tokens"]
        if token["content"] in SPECIAL_TOKENS
    ]
    raw["added_tokens"].sort(key=lambda token: token["id"])
    for token in raw["post_processor"].get("special_tokens", {}).values():
        token["ids"] = [ids[piece] for piece in token["tokens"]]
    for name in ("sep", "cls"):
        if name in raw["post_processor"]:
            piece = raw["post_processor"][name][0]
            raw["post_processor"][name] = [piece, ids[piece]]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(raw, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return Tokenizer.from_file(str(path))


def tokenize(
    tokenizer: Tokenizer, texts: list[str] | tuple[str, ...], context_length: int
) -> Tensor:
    """Ids int64 (N, context_length), as open_clip's HFTokenizer gives them.

    The tower's caller may cut the columns that are padding throughout; nothing changes.
    """
    tokenizer.enable_truncation(context_length)
    tokenizer.enable_padding(length=context_length)
    cleaned = [" ".join(text.split()) for text in texts]
    return torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(cleaned)])


def build_text_tower(config: TextTowerConfig, embed_dim: int) -> TextTransformer:
    """The tower as open_clip itself builds it from the configuration."""
    cfg = CLIPTextCfg(**config.as_text_cfg())
    return cast(TextTransformer, _build_text_tower(embed_dim, cfg))


def pad_id(tower: nn.Module) -> int:
    """The id that fills short texts up."""
    given = tower.config.pad_token_id if isinstance(tower, HFTextEncoder) else tower.pad_id
    return int(given)  # type: ignore[arg-type]


def trim_padding(ids: Tensor, pad_id: int = 0) -> Tensor:
    """Cut the columns at the end that are padding in every row."""
    used = (ids != pad_id).any(0).nonzero()
    return ids[:, : int(used.max()) + 1] if len(used) else ids[:, :1]


def plain_projection(tower: nn.Module) -> Tensor | None:
    """The matrix at a text tower's end (width, D), a view; None where the end is something else."""
    if isinstance(tower, HFTextEncoder):
        last = tower.proj
        return last.weight.T if isinstance(last, nn.Linear) and last.bias is None else None
    last = tower.text_projection
    return last if isinstance(last, nn.Parameter) else None


def pooled_states(tower: nn.Module, ids: Tensor) -> Tensor:
    """A text tower's output before its `plain_projection`, or all the way where it has none.

    Padding is cut where that changes nothing: behind a causal mask that ends at a token of its
    own, and in towers of the transformers family, which mask it.

    Args:
        tower: open_clip's ``TextTransformer`` or its ``HFTextEncoder``.
        ids: Token ids (B, L), with no more columns than the tower takes.

    Returns:
        (B, width), not normalised.
    """
    if isinstance(tower, HFTextEncoder):
        ids = trim_padding(ids, pad_id(tower))
        mask = (ids != pad_id(tower)).long()
        pooled = tower.pooler(tower.transformer(input_ids=ids, attention_mask=mask), mask)
        return pooled if plain_projection(tower) is not None else tower.proj(pooled)
    assert isinstance(tower, TextTransformer)
    causal = tower.attn_mask is not None and tower.cls_emb is None
    if causal and tower.pool_type in ("eos", "argmax"):
        ids = trim_padding(ids, tower.pad_id)
    hidden, mask = tower._embeds(ids)
    if mask is not None and mask.ndim == 2:
        mask = mask[: ids.shape[1], : ids.shape[1]]
    hidden = tower.transformer(hidden, attn_mask=mask)
    if tower.cls_emb is not None:
        pooled = tower.ln_final(hidden[:, -1])
    else:
        hidden = tower.ln_final(hidden)
        pooled = text_global_pool(hidden, ids, tower.pool_type, tower.eos_id)
    linear = tower.text_projection
    return linear(pooled) if isinstance(linear, nn.Linear) else pooled
