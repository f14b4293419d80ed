import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.tasks.words import film, make_scorer
from videomm.errors import InvalidInputError
from videomm.render.evidence import write_evidence
from videomm.tasks.answer import answer_timeline


def jpeg(level):
    data = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(data, "JPEG")
    return data.getvalue()


@pytest.fixture
def asked():
    scorer = make_scorer()
    pictures = tuple(jpeg(10 * i) for i in range(12))
    timeline = film(scorer, "a cat", "a boat", thumbnails=pictures)
    questions = ("when does the boat appear?", "is there an elephant?")
    return [answer_timeline(timeline, text, scorer) for text in questions], timeline


def test_the_middle_frame_of_each_segment_is_written(asked, tmp_path):
    answers, timeline = asked
    write_evidence(answers, timeline, tmp_path / "out")
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["answers.json", "question01-1.jpg"]
    # The boat is there from 3 s to 6 s: at 4.5 s frame 9 is on screen.
    assert (tmp_path / "out" / "question01-1.jpg").read_bytes() == timeline.thumbnails[9]
    first, second = json.loads((tmp_path / "out" / "answers.json").read_text())
    assert first["evidence"][0]["file"] == "question01-1.jpg"
    assert (second["answer"], second["evidence"]) == ("no", [])


def test_a_folder_is_only_replaced_by_force_and_only_if_it_holds_answers(asked, tmp_path):
    out = tmp_path / "out"
    write_evidence(*asked, out)
    with pytest.raises(InvalidInputError, match="exists and is not empty"):
        write_evidence(*asked, out)
    write_evidence(*asked, out, force=True)
    (out / "diary.txt").write_text("dear diary")
    with pytest.raises(InvalidInputError, match=r"holds 'diary.txt', which is no answer's"):
        write_evidence(*asked, out, force=True)
    assert (out / "diary.txt").read_text() == "dear diary"
    with pytest.raises(InvalidInputError, match="cannot be a folder for results"):
        write_evidence(*asked, out / "diary.txt")


def test_nothing_is_left_where_writing_fails(asked, tmp_path):
    answers, timeline = asked
    broken = timeline.__class__(**{**timeline.__dict__, "thumbnails": (None,) * 12})
    with pytest.raises(TypeError):
        write_evidence(answers, broken, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
