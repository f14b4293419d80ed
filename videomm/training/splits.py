"""Which clips are learned from, which stop the training, and which measure it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from videomm.errors import InvalidInputError
from videomm.training.labelled import SPLITS, Example
from videomm.types import Array

MOST_FOLDS = 5  # a fifth for validation and a fifth for the test


def sources_of(examples: Sequence[Example], contents: Sequence[str]) -> Array:
    """Number of the source that each clip comes from.

    Clips are of one source where they share a group, a file, or their content, as copies do.

    Args:
        examples: N clips.
        contents: N digests of what is in them.

    Returns:
        int32 (N,).
    """
    shared: dict[tuple[str, str], int] = {}
    edges = [
        (row, shared.setdefault(key, len(examples) + len(shared)))
        for row, (example, content) in enumerate(zip(examples, contents, strict=True))
        for key in _keys(example, content)
    ]
    rows, columns = np.array(edges).T
    size = len(examples) + len(shared)
    graph = coo_matrix((np.ones(len(edges)), (rows, columns)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(examples)])


def _keys(example: Example, content: str) -> list[tuple[str, str]]:
    keys = [("path", example.path), ("content", content)]
    return keys if example.group is None else [*keys, ("group", example.group)]


def split_clips(
    examples: Sequence[Example], sources: Array, seed: int = 0
) -> tuple[list[str], list[str]]:
    """Give each clip its split: `train`, `val` or `test`.

    Where the data have no splits, a fifth of the clips goes to each of `val` and `test`, and a
    third where no label has five sources: whole sources, with the labels in like shares
    (stratified; a clip of several labels counts for its rarest). Where they have splits, these
    are kept, and only what they lack for validation is taken from `train`. A label never lacks
    in `train`.

    Args:
        examples: N clips.
        sources: int (N,), as `sources_of` gives them.
        seed: the same seed gives the same split.

    Returns:
        N splits, and what a reader of the figures should know.

    Raises:
        InvalidInputError: some clips have a split and others none, none are for training, or
            there are too few sources to split.
    """
    given = [example.split for example in examples]
    if not any(given):
        splits = _fold_out(examples, sources, ["test", "val"], seed)
        notes: list[str] = []
    elif not all(given):
        where = examples[given.index(None)].part
        raise InvalidInputError(
            f"{where} has no split and others have one; give all a split, or none"
        )
    else:
        splits = [str(split) for split in given]
        notes = _crossing(splits, sources)
        if "train" not in splits:
            raise InvalidInputError("no clip has the split train; nothing can be learned")
        if "val" not in splits:
            inner = [row for row, split in enumerate(splits) if split == "train"]
            parts = _fold_out([examples[r] for r in inner], sources[inner], ["val"], seed)
            for row, part in zip(inner, parts, strict=True):
                splits[row] = part
            notes.append("no clip has the split val; it was taken from train")
    if "val" not in splits:
        raise InvalidInputError(
            "too few clips: all are needed to have every label in train, and none is left to "
            "validate; add clips to the labels with the fewest"
        )
    return splits, [*notes, *_untested(examples, splits)]


def strata(examples: Sequence[Example]) -> list[str]:
    """A clip's label; its rarest where it has several, and an empty text where it has none."""
    counts = Counter(label for example in examples for label in example.labels)
    return [
        min(example.labels, key=lambda name: (counts[name], name), default="")
        for example in examples
    ]


def _fold_out(
    examples: Sequence[Example], sources: Array, names: Sequence[str], seed: int
) -> list[str]:
    """Cut a fold for each name; the rest, and what labels would lack in it, is `train`."""
    kinds = np.array(strata(examples))
    most = max(len(set(sources[kinds == kind])) for kind in set(kinds))
    folds = min(MOST_FOLDS, most)
    if folds <= len(names):
        raise InvalidInputError(
            f"too few clips to split: no label has more than {most} sources (files or groups), at "
            f"least {len(names) + 1} of a label are needed; add clips, or give a split column"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    out = ["train"] * len(examples)
    with warnings.catch_warnings():
        # Labels with fewer clips than folds: said by `_untested`.
        warnings.simplefilter("ignore", UserWarning)
        parts = list(splitter.split(kinds, kinds, sources))
    for name, (_, held) in zip(names, parts, strict=False):
        for row in held:
            out[row] = name
    return _give_back(examples, sources, out)


def _give_back(examples: Sequence[Example], sources: Array, splits: list[str]) -> list[str]:
    """Move sources to `train` until every label is in it."""
    for label in sorted({label for example in examples for label in example.labels}):
        rows = [r for r, example in enumerate(examples) if label in example.labels]
        if not any(splits[r] == "train" for r in rows):
            moved = sources[rows[0]]
            splits = [
                "train" if source == moved else split
                for source, split in zip(sources, splits, strict=True)
            ]
    return splits


def _crossing(splits: Sequence[str], sources: Array) -> list[str]:
    """What to say where the data's own splits tear a source apart."""
    sides: dict[int, set[str]] = {}
    for source, split in zip(sources.tolist(), splits, strict=True):
        sides.setdefault(source, set()).add(split)
    torn = sum("test" in side and len(side) > 1 for side in sides.values())
    if not torn:
        return []
    return [
        f"{torn} sources (files, groups or copies) are in test and in train or val as well, as the "
        "split column says: figures on test are too good"
    ]


def _untested(examples: Sequence[Example], splits: Sequence[str]) -> list[str]:
    """Say which labels a split lacks."""
    notes = []
    present = {
        split: {n for e, s in zip(examples, splits, strict=True) if s == split for n in e.labels}
        for split in SPLITS
    }
    everything = set().union(*present.values())
    for split in SPLITS:
        missing = sorted(everything - present[split])
        if missing and present[split]:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            notes.append(f"no clip in {split} of: {shown}")
    if "test" not in splits:
        notes.append("no clip has the split test: figures are on val, which also chose the epoch")
    return notes
