import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.errors import InvalidInputError
from videomm.training.labelled import Example
from videomm.training.segment_data import find_truth, read_segments


def write(folder, *rows, header="path,start,end,label"):
    table = folder / "segments.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    return table


def segment(label, start, end):
    return Example("a.mp4", (label,), start=start, end=end)


def test_rows_become_videos_with_segments_in_order(tmp_path):
    table = write(
        tmp_path,
        "a.mp4,4,6,pour,test,kim,7",
        "a.mp4,,1.5,stir,test,kim,7",
        "b.mp4,2,,stir,train,,7",
        header="path,start,end,label,split,group,speed",
    )
    data = read_segments(table)
    path = str(tmp_path / "a.mp4")
    assert data.videos.examples == (
        Example(path, ("pour", "stir"), "test", "kim"),
        Example(str(tmp_path / "b.mp4"), ("stir",), "train", None),
    )
    assert [(s.start, s.end, s.labels) for s in data.segments[path]] == [
        (None, 1.5, ("stir",)),
        (4.0, 6.0, ("pour",)),
    ]
    assert data.videos.labels == ("pour", "stir")
    assert data.videos.warnings == ("columns that mean nothing here: speed",)


def test_one_label_is_enough_and_jsonl_is_read(tmp_path):
    table = tmp_path / "data.jsonl"
    table.write_text('{"path": "a.mp4", "start": 1, "end": 2, "label": "jump"}\n')
    assert read_segments(table).videos.labels == ("jump",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.mp4,0,3,x", "a.mp4,2,4,y"], r"a.mp4 \[2-4 s\] \(y\) begins before .* \[0-3 s\] \(x\)"),
        (["a.mp4,0,,x", "a.mp4,2,4,y"], "must not overlap"),
        (["a.mp4,3,2,x"], "line 2: end must lie after start"),
        (["a.mp4,0,2,"], "line 2: label must be a text"),
        (["a.mp4,0,2,x", "a.mp4,0,2,y"], "line 3: .* is on line 2 already"),
    ],
)
def test_what_is_wrong_with_rows(tmp_path, rows, message):
    with pytest.raises(InvalidInputError, match=message):
        read_segments(write(tmp_path, *rows))


def test_rounded_times_may_touch(tmp_path):
    table = write(tmp_path, "a.mp4,0,2.0005,x", "a.mp4,2,4,y")
    assert len(read_segments(table).segments) == 1


def test_what_is_wrong_with_a_file(tmp_path):
    with pytest.raises(InvalidInputError, match=r"is no .csv or .jsonl file; segments are a file"):
        read_segments(tmp_path)
    with pytest.raises(InvalidInputError, match="has no rows; expected path, start, end and label"):
        read_segments(write(tmp_path))
    with pytest.raises(InvalidInputError, match="has end, labels, path, start; expected"):
        read_segments(write(tmp_path, "a.mp4,0,1,x", header="path,start,end,labels"))
    table = write(
        tmp_path, "a.mp4,0,1,x,train", "a.mp4,1,2,y,test", header="path,start,end,label,split"
    )
    with pytest.raises(InvalidInputError, match=r"several values of split \(test, train\)"):
        read_segments(table)


def test_a_frame_has_what_holds_for_most_of_its_time():
    bounds = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    truth = find_truth(bounds, [segment("b", 0.3, 1.2), segment("a", 1.2, 1.8)], ["a", "b"])
    # 0.2 of 0.5 s are covered, then all, then 0.2 by b and 0.3 by a, then 0.3 by a.
    assert truth.labels.tolist() == [2, 1, 0, 0]
    assert (truth.late, truth.lost) == ((), ())


def test_segments_that_teach_nothing_are_told():
    short, late = segment("a", 1.1, 1.2), segment("a", 9.0, 10.0)
    bounds = np.array([0.0, 1.0, 2.0])
    truth = find_truth(bounds, [segment("a", 0.0, 0.9), short, late], ["a"])
    assert truth.labels.tolist() == [0, 1]
    assert (truth.late, truth.lost) == ((late,), (short,))


def test_the_last_frame_may_stand_for_no_time():
    bounds = np.array([0.0, 1.0, 1.0])
    for end in (None, 1.0, 5.0):
        assert find_truth(bounds, [segment("a", 0.0, end)], ["a"]).labels.tolist() == [0, 0]
    assert find_truth(bounds, [segment("a", 0.0, 0.9)], ["a"]).labels.tolist() == [0, 1]


@given(
    st.lists(st.floats(0.0625, 3, width=32), min_size=2, max_size=12),
    st.lists(st.tuples(st.floats(0, 2, width=32), st.floats(0.0625, 2, width=32)), max_size=5),
)
def test_labels_agree_with_many_looks_at_each_frame(lengths, gaps):
    bounds = np.concatenate([[0.0], np.cumsum(lengths)])
    segments, at = [], 0.0
    for place, (gap, length) in enumerate(gaps):
        segments.append(segment("ab"[place % 2], at + gap, at + gap + length))
        at += gap + length
    labels = find_truth(bounds, segments, ["a", "b"]).labels
    for frame, label in enumerate(labels.tolist()):
        looks = np.linspace(bounds[frame], bounds[frame + 1], 2001)[:-1] + lengths[frame] / 4000
        shares = [0.0, 0.0]
        # A segment's own share counts, not that of all with its label.
        best = [0.0, 0.0]
        for item in segments:
            share = float(((looks >= item.start) & (looks < item.end)).mean())
            shares["ab".index(item.labels[0])] += share
            best["ab".index(item.labels[0])] = max(best["ab".index(item.labels[0])], share)
        best.append(1 - sum(shares))
        assert best[label] >= max(best) - 0.01
