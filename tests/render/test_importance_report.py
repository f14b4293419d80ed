import numpy as np

from tests.render.test_training_report import EVIL, FIGURE, METRICS, SETTINGS, Reader
from videomm.render.importance_report import RatedTimeline, build_importance_report


def test_what_is_said_is_drawn_beside_what_people_say():
    figures = {"kendall_tau": FIGURE}
    kept = {key: METRICS[key] for key in METRICS if key not in ("zero_shot", "majority")}
    del kept["temperature"]
    metrics = kept | {
        "labels": [],
        "figures": figures,
        "untrained": figures,
        "people": figures,
        "gain": {"metric": "kendall_tau", "over": "untrained", **FIGURE},
    }
    worst = RatedTimeline(
        f"{EVIL}.mp4",
        -0.25,
        np.array([0.0, 1.0, 2.0, 3.0]),
        np.array([0.2, 0.4, 0.3, 0.2]),
        np.array([np.nan, 5.0, 1.0, 3.0]),
    )
    reader = Reader(build_importance_report(EVIL, SETTINGS, metrics, [worst]))
    assert reader.open == []
    lines = {
        attrs["class"]: [point.split(",") for point in attrs["points"].split()]
        for tag, attrs in reader.tags
        if tag == "polyline" and "class" in attrs
    }
    assert [float(y) for _, y in lines["importance"]] == [116.0, 4.0, 60.0, 116.0]
    assert [(float(x), float(y)) for x, y in lines["similarity"]] == [
        (320.0, 4.0),
        (640.0, 116.0),
        (960.0, 60.0),
    ]
    for words in ("people's mean", "untrained", "Gain over untrained", "5 videos to train"):
        assert words in reader.text
    assert "labels;" not in reader.text
