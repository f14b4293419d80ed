"""Small services every stage needs: JSON lines on stderr, seeds, memory, atomic saves."""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

START_SECONDS = time.monotonic()
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h


def report(stage: str, **values: object) -> None:
    """Write one JSON line of progress to stderr."""
    line = {"t": round(time.monotonic() - START_SECONDS, 1), "stage": stage, **values}
    print(json.dumps(line), file=sys.stderr, flush=True)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def keep_freed_memory() -> None:
    """Let glibc keep what big tensors free, where there is a glibc.

    It would hand the pages back and fault them in again at the next step, which takes a third of
    a training step and half of the feature cache's time.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def save_atomic(value: Any, path: Path) -> None:
    """`torch.save` that a killed process cannot leave half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    torch.save(value, partial)
    os.replace(partial, path)


def load_saved(path: Path) -> Any:
    """Read what `save_atomic` wrote; only tensors and plain values are accepted."""
    return torch.load(path, map_location="cpu", weights_only=True)
