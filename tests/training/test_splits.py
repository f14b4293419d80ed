from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from videomm.errors import InvalidInputError
from videomm.training.labelled import Example
from videomm.training.splits import sources_of, split_clips


def clips(labels, groups=None, splits=None):
    groups, splits = groups or [None] * len(labels), splits or [None] * len(labels)
    return [
        Example(f"{i}.mp4", label if isinstance(label, tuple) else (label,), split, group)
        for i, (label, group, split) in enumerate(zip(labels, groups, splits, strict=True))
    ]


def split(examples, seed=0):
    return split_clips(examples, sources_of(examples, [e.path for e in examples]), seed)


def test_clips_share_a_source_by_group_file_and_content_through_others():
    examples = [
        Example("a", ("x",), group="g"),
        Example("b", ("x",), group="g"),
        Example("b", ("x",), start=3),
        Example("c", ("x",)),
        Example("d", ("x",)),
    ]
    sources = sources_of(examples, ["1", "2", "3", "3", "4"])
    assert len(set(sources[:4])) == 1
    assert sources[4] != sources[0]


def test_stratified_and_seeded():
    examples = clips(["a"] * 50 + ["b"] * 10)
    splits, notes = split(examples)
    assert notes == []
    counts = Counter(zip((e.labels[0] for e in examples), splits, strict=True))
    assert counts["a", "test"] == counts["a", "val"] == 10
    assert counts["b", "test"] == counts["b", "val"] == 2
    assert split(examples)[0] == splits
    assert split(examples, seed=1)[0] != splits


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 9)), min_size=12, max_size=40
    ),
    seed=st.integers(0, 5),
)
def test_no_source_is_torn_and_every_label_is_learned(rows, seed):
    examples = clips([label for label, _ in rows], [str(group) for _, group in rows])
    most = max(len({g for label, g in rows if label == name}) for name in "abc")
    if most < 3:
        return
    try:
        splits, _ = split(examples, seed)
    except InvalidInputError:  # too few sources
        assume(False)
    sides = {}
    for example, side in zip(examples, splits, strict=True):
        assert sides.setdefault(example.group, side) == side
    learned = {e.labels[0] for e, s in zip(examples, splits, strict=True) if s == "train"}
    assert learned == {label for label, _ in rows}


def test_rare_labels_stay_in_train_and_it_is_said():
    splits, notes = split(clips(["a"] * 10 + ["b"]))
    assert splits[10] == "train"
    assert notes == ["no clip in val of: b", "no clip in test of: b"]


def test_several_labels_count_for_the_rarest():
    examples = clips([("a", "b")] * 5 + [("a",)] * 20 + [()] * 5)
    splits, _ = split(examples)
    for rows in (slice(0, 5), slice(25, 30)):
        assert Counter(splits[rows]) == {"train": 3, "val": 1, "test": 1}


def test_given_splits_are_kept():
    given_splits = ["train", "train", "val", "val", "test", "test"]
    assert split(clips(list("ababab"), splits=given_splits)) == (given_splits, [])


def test_validation_is_taken_from_train_where_it_lacks():
    examples = clips(["a", "b"] * 10, splits=["train"] * 16 + ["test"] * 4)
    splits, notes = split(examples)
    assert splits[16:] == ["test"] * 4
    assert 2 <= splits.count("val") <= 4
    assert notes == ["no clip has the split val; it was taken from train"]


def test_torn_sources_and_missing_tests_are_said():
    examples = clips(["a", "b", "a"], ["g", "h", "g"], ["train", "val", "test"])
    assert "1 sources (files, groups or copies) are in test and in train" in split(examples)[1][0]
    examples = clips(["a", "b", "a", "b"], splits=["train", "train", "val", "val"])
    assert "figures are on val, which also chose the epoch" in split(examples)[1][-1]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (clips(["a", "b"], splits=["train", None]), "1.mp4 has no split and others have one"),
        (clips(["a", "b"], splits=["test", "val"]), "no clip has the split train"),
        (clips(["a", "a", "b", "b"]), "no label has more than 2 sources"),
        (clips(["a"] * 9, ["g"] * 9), "no label has more than 1 sources"),
    ],
)
def test_what_cannot_be_split(examples, message):
    with pytest.raises(InvalidInputError, match=message):
        split(examples)


def test_sources_are_numbers_of_clips():
    assert sources_of(clips(["a", "b"]), ["1", "2"]).shape == (2,)
    assert np.issubdtype(sources_of(clips(["a", "b"]), ["1", "2"]).dtype, np.integer)
