import numpy as np

from tests.render.test_training_report import EVIL, METRICS, SETTINGS, Reader
from videomm.render.segment_report import LabelledTimeline, build_segment_report

WORST = LabelledTimeline(
    clip=f"{EVIL}.mp4",
    accuracy=0.75,
    bounds=np.array([0.0, 0.5, 1.0, 1.5, 62.0]),
    right=np.array([0, 0, 1, 1]),
    said=np.array([0, 0, 0, 1]),
)


def test_truth_and_answer_are_drawn_over_each_other():
    page = build_segment_report(EVIL, SETTINGS, METRICS, [WORST])
    reader = Reader(page)
    assert reader.open == []
    assert not {"script", "link", "iframe", "b"} & {tag for tag, _ in reader.tags}
    assert f"75% of the frames of {EVIL}.mp4 are right" in [
        attrs.get("aria-label") for tag, attrs in reader.tags if tag == "svg"
    ]
    bands = [attrs for tag, attrs in reader.tags if tag == "rect"]
    assert len(bands) == 4
    colours = [band["style"] for band in bands]
    assert colours[:2] == colours[2:]
    assert len(set(colours)) == 2
    starts = [float(band["x"]) for band in bands]
    widths = [float(band["width"]) for band in bands]
    assert np.allclose(starts, [64, 64 + 896 / 62, 64, 64 + 1.5 * 896 / 62], atol=0.1)
    assert np.allclose([widths[0] + widths[1], widths[2] + widths[3]], 896, atol=0.2)
    for words in (
        f"{EVIL}, 0:01.0 to 1:02.0",
        "2 labels; 5 videos to train",
        "What is taken for what",
        "frames measured",
        "1 videos could not be read",
    ):
        assert words in reader.text
