import numpy as np
import pytest

from tests.tasks.describing import GreyDescriber, grey_thumbnails, with_describer
from tests.tasks.words import film, make_scorer
from videomm.tasks.asked import Asked, ask, weighed
from videomm.tasks.presence import Presence, View

PLACES = np.zeros((2, 1, 3), np.float32)


class Unsure(GreyDescriber):
    """Answers of two frames: each has its own."""

    def answer(self, places, questions):
        return ["a dog", "not found"]

    def log_likelihood(self, places, question, answers):
        return np.log([[0.5] * len(answers), [0.1] * len(answers)])


def test_likelihoods_are_means_over_frames_and_have_a_floor():
    means = Asked(Unsure(), PLACES, "who is running").log_likelihood(["a dog", "a cat"])
    assert np.exp(means) == pytest.approx([0.3, 0.3])
    known = GreyDescriber((), {"a dog": -1.0})
    assert Asked(known, PLACES, "who").log_likelihood(["a dog", "a cat"]).tolist() == [-1, -8]


def test_a_refusal_is_no_answer():
    assert Asked(Unsure(), PLACES, "who is running").own_answers() == ["a dog"]


def test_nobody_is_asked_without_decoder_words_or_pictures():
    scorer = with_describer(make_scorer(), GreyDescriber((), {"a dog": -1.0}))
    pictures = grey_thumbnails(60)
    view = View(film(scorer, "a dog running", thumbnails=pictures), scorer)
    assert ask(view, "who is running", view.part).words == "who is running"
    assert ask(view, None, view.part) is None
    blank = View(film(scorer, "a dog running"), scorer)
    assert ask(blank, "who is running", blank.part) is None
    mute = make_scorer()
    view = View(film(mute, "a dog running", thumbnails=pictures), mute)
    assert ask(view, "who is running", view.part) is None


@pytest.mark.parametrize("chance", [0.2, 0.5, 0.9])
def test_odds_multiply(chance):
    found = Presence(1.0, chance, ())
    assert weighed(found, 0.0, 0.5).probability == pytest.approx(chance)
    assert weighed(found, 3.0, 0.0).probability == pytest.approx(chance)
    both = chance / (1 - chance) * np.sqrt(4)
    assert weighed(found, np.log(4), 0.5).probability == pytest.approx(both / (1 + both))
    assert 0 < weighed(Presence(1.0, 0.0, ()), -50.0, 1.0).probability < 1e-6
