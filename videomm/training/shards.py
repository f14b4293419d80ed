"""What is computed once for many rows, kept on disk in shards, so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videomm.training.progress import report


def cached_shards(
    stage: str,
    count: int,
    size: int,
    name: Path,
    make: Callable[[range], npt.NDArray[Any]],
    **facts: object,
) -> npt.NDArray[np.float16]:
    """What `make` gives for the rows 0..count, by shards that are read where they exist.

    Args:
        stage: what it is called where progress is reported.
        count: N, number of rows.
        size: rows a shard.
        name: of a shard's file, with a format such as ``{:06d}`` for its first row.
        make: from numbers of rows to an array whose first axis they are.
        facts: further facts to report.

    Returns:
        float16 (N, ...).
    """
    shards = []
    for start in range(0, count, size):
        path = name.with_name(name.name.format(start))
        if not path.exists():
            rows = range(start, min(start + size, count))
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part.npy")
            np.save(unfinished, make(rows).astype(np.float16))
            unfinished.replace(path)
            report(stage, **facts, done=rows.stop, of=count)
        shards.append(np.load(path))
    return np.concatenate(shards)
