"""Questions about compositions: what is asked, and what is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from videomm.evaluation.composition_questions import (
    FAMILIES,
    ORDER,
    CompositionQuestion,
    draw_composition_questions,
)
from videomm.training.questions import PictureQuestion
from videomm.types import Answer, Segment

CAPTIONS = [[f"Animal {number} sleeps .", f"Thing {number} ."] for number in range(12)]
QUESTIONS = [
    PictureQuestion(
        number, "doing", f"what is {number} doing", "sleeping", "", frozenset({"sleeping"})
    )
    for number in range(0, 12, 2)
]


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[CompositionQuestion]]:
    return draw_composition_questions(CAPTIONS, QUESTIONS, 20, 0)


def an_answer(said: str | None, *evidence: tuple[float, float]) -> Answer:
    segments = tuple(Segment(start, end, 0.5) for start, end in evidence)
    return Answer("v", "q", said, 0.5, "pick", segments, (), "tiny", "none", True, (), {}, 9.0)


def test_every_family_is_drawn_and_the_seed_decides(
    drawn: dict[str, list[CompositionQuestion]],
) -> None:
    assert tuple(drawn) == FAMILIES
    assert {len(questions) for questions in drawn.values()} == {20}
    assert draw_composition_questions(CAPTIONS, QUESTIONS, 20, 0) == drawn
    assert draw_composition_questions(CAPTIONS, QUESTIONS, 20, 1) != drawn


@pytest.mark.parametrize("family", ORDER)
def test_the_scene_that_is_asked_about(
    drawn: dict[str, list[CompositionQuestion]], family: str
) -> None:
    for question in drawn[family]:
        scenes, about = question.composition.scenes, question.about
        assert about is not None
        place = [scene.picture for scene in scenes].index(about.picture)
        assert question.moments == ((scenes[place].start, scenes[place].end),)
        assert question.question.startswith(about.question)
        if family in ("first", "last"):
            assert place == (0 if family == "first" else len(scenes) - 1)
            continue
        event = scenes[place - 1 if family == "after" else place + 1].picture
        said = [caption.lower().strip(" .") for caption in CAPTIONS[event]]
        assert question.question.removeprefix(f"{about.question} {family} ") in said


def test_counts_are_those_of_the_plan(drawn: dict[str, list[CompositionQuestion]]) -> None:
    for question in drawn["how many scenes"]:
        assert question.count == len(question.composition.scenes) == len(question.moments)
    times = drawn["how many times"]
    assert {question.count for question in times} == {1, 2}
    assert all(question.count == len(question.moments) for question in times)


def test_what_is_right(drawn: dict[str, list[CompositionQuestion]]) -> None:
    first = drawn["first"][0]
    assert first.is_right(an_answer("sleeping on a sofa"))
    assert not first.is_right(an_answer("running"))
    assert not first.is_right(an_answer(None))
    scenes = replace(drawn["how many scenes"][0], count=3)
    assert scenes.is_right(an_answer("3"))
    assert not scenes.is_right(an_answer("4"))


def test_evidence_points_at_a_scene_by_its_middle(
    drawn: dict[str, list[CompositionQuestion]],
) -> None:
    when = replace(drawn["when"][0], moments=((2.0, 4.0), (6.0, 8.0)))
    assert when.is_right(an_answer("2.0-4.0 s", (2.5, 4.5)))
    assert when.is_right(an_answer("6.0-8.0 s", (6.0, 8.0), (0.0, 1.0)))
    assert not when.is_right(an_answer("0.0-1.0 s", (0.0, 1.0), (6.0, 8.0)))
    assert not when.is_right(an_answer(None, (2.5, 4.5)))
    assert not when.points_there(an_answer("x"))


def test_without_questions_about_one_scene() -> None:
    numbers = [replace(question, family="number") for question in QUESTIONS]
    with pytest.raises(ValueError, match="compositions need questions of the families doing, who"):
        draw_composition_questions(CAPTIONS, numbers, 2, 0)
