"""Small services every stage needs: JSON lines on stderr, seeds, atomic saves."""

from __future__ import annotations

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


def report(stage: str, **values: object) -> None:
    """Write one JSON line of progress to stderr."""
    line = {"t": round(time.monotonic() - START_SECONDS, 1), "stage": stage, **values}
    print(json.dumps(line), file=sys.stderr, flush=True)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def save_atomic(value: Any, path: Path) -> None:
    """`torch.save` that a killed process cannot leave half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    torch.save(value, partial)
    os.replace(partial, path)


def load_saved(path: Path) -> Any:
    """Read what `save_atomic` wrote; only tensors and plain values are accepted."""
    return torch.load(path, map_location="cpu", weights_only=True)
