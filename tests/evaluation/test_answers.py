"""Answers by family: what counts, balanced refusals, and the commonest answer."""

from __future__ import annotations

import pytest

from videomm.evaluation.answers import accuracy, draw_questions, most_frequent, room_questions
from videomm.tasks.questions import NOT_FOUND
from videomm.training.image_data import ImageRow
from videomm.training.questions import FAMILIES, PictureQuestion


def ask(family: str, text: str, answer: str, *right: str) -> PictureQuestion:
    return PictureQuestion(0, family, text, answer, "dog", frozenset(right or (answer,)))


QUESTIONS = [
    ask("colour", "what colour is the dog", "brown", "brown", "black"),
    ask(NOT_FOUND, "what colour is the dog", NOT_FOUND),
    ask(NOT_FOUND, "where is the dog", NOT_FOUND),
    ask("colour", "what colour is the dog", "white"),
    ask("where", "where is the dog", "in the snow", "snow"),
    ask("colour", "what colour is the dog", "brown"),
]


def test_refusals_are_asked_for_as_often_as_answers_in_the_same_words() -> None:
    drawn = draw_questions(QUESTIONS, 4)
    assert tuple(drawn) == FAMILIES
    assert drawn["colour"] == [QUESTIONS[0], QUESTIONS[3], QUESTIONS[5]]
    assert drawn[NOT_FOUND] == [QUESTIONS[1], QUESTIONS[2], QUESTIONS[0], QUESTIONS[4]]
    assert [len(draw_questions(QUESTIONS, 2)[f]) for f in ("colour", NOT_FOUND)] == [2, 2]


def test_questions_about_rooms_have_one_answer_in_words() -> None:
    asked = {"what is on the desk ?": "garbage_bin", "how many beds ?": "2", "what is there": "a,b"}
    row = ImageRow("daquar", "1.webp", "test", (), None, tuple(asked.values()), tuple(asked))
    what, number = room_questions([row])
    assert (what.question, what.answer) == ("what is on the desk", "garbage bin")
    assert what.is_right("bin")
    assert not what.is_right("a desk")
    assert number.is_right("two")
    assert accuracy("daquar", [what, number], ["garbage bin", "three"]) == 50


def test_accuracy() -> None:
    colours = [QUESTIONS[0], QUESTIONS[3]]
    assert accuracy("colour", colours, ["black", "black"]) == 50
    assert accuracy("colour", colours, [NOT_FOUND, "white"]) == 50
    # What is found is not asked here, only that something is.
    found = [QUESTIONS[1], QUESTIONS[0], QUESTIONS[2], QUESTIONS[4]]
    assert accuracy(NOT_FOUND, found, [NOT_FOUND, "red", "in the snow", NOT_FOUND]) == 50
    with pytest.raises(ValueError, match="got 2 questions and 1 answers"):
        accuracy("colour", colours, ["black"])
    with pytest.raises(ValueError, match="got 0 questions"):
        accuracy("colour", [], [])


def test_the_commonest_answer() -> None:
    assert most_frequent(QUESTIONS) == {
        "colour": "brown",
        NOT_FOUND: NOT_FOUND,
        "where": "in the snow",
    }
