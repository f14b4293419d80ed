"""Sentences about parts of a video, and when there is none."""

import pytest

from tests.tasks.describing import GreyDescriber, grey_thumbnails, with_describer
from tests.tasks.words import film, make_scorer
from videomm.tasks.captions import caption_part
from videomm.tasks.presence import View

SCENES = ("a dog running grass", "a cat sleeping sofa", "a boat sailing harbour")
LEVELS = (60, 120, 180)


def look(captions, scene=0, **values):
    scorer = with_describer(make_scorer(), GreyDescriber(captions))
    thumbnails = {"thumbnails": grey_thumbnails(*LEVELS)} | values
    view = View(film(scorer, *SCENES, **thumbnails), scorer)
    return caption_part(view.limited_to(6 * scene, 6 * scene + 6))


CAPTIONS = {
    60: ("a dog running", -1.0),
    120: ("a cat sleeping", -1.0),
    180: ("a boat sailing", -1.0),
}


@pytest.mark.parametrize(
    ("scene", "sentence"), [(0, "A dog running."), (1, "A cat sleeping."), (2, "A boat sailing.")]
)
def test_each_part_gets_its_own_sentence_and_where_it_holds(scene, sentence):
    said, found = look(CAPTIONS, scene)
    assert said == sentence
    assert found.probability >= 0.5
    assert (found.segments[0].start, found.segments[0].end) == (3 * scene, 3 * scene + 3)


def test_an_unlikely_caption_is_withheld():
    assert look({**CAPTIONS, 60: ("a dog running", -2.1)}) is None
    assert look({**CAPTIONS, 60: ("a dog running", -2.0)}) is not None


def test_a_caption_of_what_is_not_there_is_withheld():
    assert look({**CAPTIONS, 60: ("an elephant", -0.1)}) is None


def test_a_bare_name_is_left_to_the_bank():
    assert look({**CAPTIONS, 60: ("a dog", -0.1)}) is None
    assert look({**CAPTIONS, 60: ("a dog is on the grass", -0.1)}) is not None


def test_a_caption_is_withheld_where_a_word_of_the_bank_is_much_nearer():
    # Two of its nine words are in the scene of three: a cosine of 0.38, where "a dog" has 0.58.
    wordy = "a dog running beside seven people under tall trees near old houses"
    scorer = make_scorer()
    view = View(film(scorer, *SCENES), scorer).limited_to(0, 6)
    assert view.presence([wordy]).present
    assert look({**CAPTIONS, 60: (wordy, -0.1)}) is None


def test_nothing_is_said_without_pictures_or_without_a_describer():
    assert look(CAPTIONS, thumbnails=()) is None
    scorer = make_scorer()
    view = View(film(scorer, *SCENES, thumbnails=grey_thumbnails(*LEVELS)), scorer)
    assert caption_part(view) is None


def test_of_a_long_part_the_caption_nearest_to_all_of_it_is_kept():
    scorer = with_describer(make_scorer(), GreyDescriber(CAPTIONS))
    scenes = ("a cat sleeping sofa", "a cat sleeping sofa", "a boat sailing harbour")
    view = View(film(scorer, *scenes, thumbnails=grey_thumbnails(120, 120, 180)), scorer)
    said, _ = caption_part(view)
    assert said == "A cat sleeping."
