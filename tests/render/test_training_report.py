import copy
import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from videomm.render.figures import figure_text, gain_text
from videomm.render.training_plots import curves_svg, reliability_svg
from videomm.render.training_report import Mistake, build_report

EVIL = '<b>&"x'
FIGURE = {"value": 0.75, "low": 0.5, "high": 1.0}
FLOOR = {"value": 0.5, "low": None, "high": None}
SETTINGS = {
    "data": "clips",
    "encoder": "tiny@0",
    "labels": ["cat", EVIL],
    "multi_label": False,
    "train": {"tune": "temporal", "epochs": None, "seed": 0},
    "sampling": {"fps": 2.0, "times": None},
}
METRICS = {
    "measured_on": "test",
    "clips": 4,
    "sources": 4,
    "labels": ["cat", EVIL],
    "multi_label": False,
    "figures": {"top1": FIGURE, "calibration_error": FIGURE},
    "zero_shot": {"top1": FIGURE, "calibration_error": FIGURE},
    "majority": {"top1": FLOOR, "calibration_error": FLOOR},
    "gain": {"metric": "top1", "value": 0.25, "low": 0.1, "high": 0.4},
    "per_class": [
        {"label": name, "precision": 1.0, "recall": 0.5, "f1": 0.67, "support": 2}
        for name in ("cat", EVIL)
    ],
    "confusion": [[1, 1], [0, 2]],
    "reliability": [
        {"low": 0.6, "high": 0.7, "answers": 3, "confidence": 0.65, "accuracy": 1.0},
        {"low": 0.9, "high": 1.0, "answers": 1, "confidence": 0.95, "accuracy": 0.0},
    ],
    "counts": {split: {"cat": 3, EVIL: 2} for split in ("train", "val", "test")},
    "clips_in": {"train": 5, "val": 5, "test": 4},
    "epoch": 1,
    "temperature": 1.25,
    "history": [
        {"epoch": 0, "val_loss": 1.0},
        {"epoch": 1, "train_loss": 0.9, "val_loss": 0.6},
        {"epoch": 2, "train_loss": 0.4, "val_loss": 0.7},
    ],
    "skipped": [{"clip": EVIL, "kind": "NotAVideoError", "message": f"{EVIL} is no video"}],
    "warnings": [f"no clip in val of: {EVIL}"],
}


def jpeg():
    out = io.BytesIO()
    Image.new("RGB", (16, 9), "red").save(out, "JPEG")
    return out.getvalue()


MISTAKES = [
    Mistake(f"{EVIL}.mp4", ("cat",), EVIL, 0.9, 61.5, jpeg()),
    Mistake("b.mp4", (), "cat", 0.8, 1.0, b""),
]


class Reader(HTMLParser):
    """Tags with their attributes, and whether they nest."""

    VOID = ("meta", "img", "br", "rect", "line", "polyline", "circle")

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(metrics=METRICS, mistakes=MISTAKES):
    page = build_report(EVIL, SETTINGS, metrics, mistakes)
    reader = Reader(page)
    assert reader.open == []
    return page, reader


def test_the_page_is_one_file_without_scripts():
    page, reader = read()
    assert not {"script", "link", "iframe", "b"} & {tag for tag, _ in reader.tags}
    assert "http" not in page.replace("http-equiv", "")
    sources = [attrs["src"] for tag, attrs in reader.tags if tag == "img"]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/jpeg;base64,")


def test_pictures_and_plots_have_texts():
    _, reader = read()
    (picture,) = [attrs["alt"] for tag, attrs in reader.tags if tag == "img"]
    assert picture == f"Frame of {EVIL}.mp4 at 1:01.5"
    words = [attrs["aria-label"] for tag, attrs in reader.tags if tag == "svg"]
    assert words == [
        "Loss by epoch. The validation loss went from 1.000 before training to 0.600 in epoch 1, "
        "which was kept; the last was epoch 2.",
        "Reliability: score against share of right answers; calibration error 0.750.",
    ]
    headings = {attrs.get("id") for _, attrs in reader.tags}
    for _, attrs in reader.tags:
        assert attrs.get("aria-labelledby") is None or attrs["aria-labelledby"] in headings


def test_the_page_says_all_there_is():
    _, reader = read()
    for text in (
        "2 labels; 5 clips to train, 5 to validate, 4 to test; temporal on tiny@0",
        f"no clip in val of: {EVIL}",
        f"NotAVideoError: {EVIL} is no video",
        "Gain over zero-shot: +0.250 top-1 [+0.100, +0.400].",
        "0.750 [0.500, 1.000]",
        f"Said {EVIL} (0.90), is cat",
        "Said cat (0.80), is none of the labels",
        "1 of 2",
    ):
        assert text in reader.text


def test_several_labels_have_no_confusions_and_few_mistakes_can_be_none():
    metrics = METRICS | {"confusion": None, "multi_label": True}
    _, reader = read(metrics, [Mistake("a.mp4", ("cat",), "cat", 0.1, 0.0, b"")])
    assert "What is taken for what" not in reader.text
    assert "Denied cat (0.10), is cat" in reader.text
    assert "None on these clips." in read(mistakes=[])[1].text


def test_many_labels_are_listed_by_their_confusions():
    names = [f"label {i}" for i in range(50)]
    metrics = copy.deepcopy(METRICS)
    metrics["labels"] = names
    metrics["confusion"] = [[0] * 50 for _ in names]
    metrics["confusion"][3][7] = 4
    text = read(metrics)[1].text
    assert "label 3label 74" in text
    assert "label 30" not in text


def test_plots_of_little():
    one = [{"epoch": 0, "val_loss": 0.0}]
    assert "nan" not in curves_svg(one, 0)
    assert "nan" not in reliability_svg(METRICS["reliability"][:1], 0.1)


@pytest.mark.parametrize(
    ("low", "high", "start"),
    [
        (0.1, 0.4, "Gain over zero-shot: +0.250 top-1 [+0.100, +0.400]."),
        (-0.1, 0.4, "No gain over zero-shot that these clips can show"),
        (-0.4, -0.1, "Worse than zero-shot"),
        (None, None, "Difference to zero-shot: +0.250 top-1, on too few sources"),
    ],
)
def test_a_gain_or_its_absence_in_words(low, high, start):
    gain = {"metric": "top1", "value": 0.25, "low": low, "high": high}
    assert gain_text(gain).startswith(start)


def test_figures_in_words():
    assert figure_text(FIGURE) == "0.750 [0.500, 1.000]"
    assert figure_text(FLOOR) == "0.500"
    assert figure_text(None) == "-"
    assert gain_text(None) == ""
