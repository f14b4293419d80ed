"""Questions from captions: what is read, what is asked, and that questions alone tell nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from videomm.tasks.questions import NOT_FOUND, learned_words
from videomm.training.image_data import ImageRow
from videomm.training.questions import (
    FAMILIES,
    PictureQuestion,
    make_questions,
    name_questions,
    questions_of,
    read_captions,
)

CAPTIONS = (
    "A brown dog is catching a red ball in the water .",
    "The brown dog runs through the deep snow .",
    "Two men watch a dog .",
)
ASKED = frozenset({"dog", "man", "ball", "water", "snow"})


def by_text(captions: tuple[str, ...]) -> dict[str, PictureQuestion]:
    return {q.question: q for q in questions_of(3, read_captions(captions), ASKED)}


def test_what_captions_say() -> None:
    said = read_captions(CAPTIONS)
    assert said.nouns == {"dog": 3, "ball": 1, "water": 1, "snow": 1, "man": 1}
    assert said.doing == {"dog": {"catching": 1, "running": 1}, "man": {"watching": 1}}
    assert said.places["dog"] == {"in the water": 1, "through the snow": 1}
    assert said.colours == {"dog": {"brown": 2}, "ball": {"red": 1}}
    assert said.numbers["man"] == {"two": 1}
    assert said.objects["dog", "catching"] == {"ball": 1}


@pytest.mark.parametrize(
    ("question", "family", "answer", "right"),
    [
        ("what is the dog doing", "doing", "catching", {"catching", "running"}),
        ("what is the dog catching", "what", "a ball", {"ball"}),
        ("who is watching", "who", "two men", {"man"}),
        ("where is the dog", "where", "in the water", {"water", "snow"}),
        ("what colour is the ball", "colour", "red", {"red"}),
        ("how many men are there", "number", "two", {"two"}),
    ],
)
def test_what_is_asked(question: str, family: str, answer: str, right: set[str]) -> None:
    found = by_text(CAPTIONS)[question]
    assert (found.picture, found.family, found.answer) == (3, family, answer)
    assert found.right == right
    assert found.is_right(answer)


@pytest.mark.parametrize(
    ("caption", "absent"),
    [
        ("A man in a red shirt is running .", "where is the man"),
        ("A man stands next to a boy .", "where is the man"),
        ("A man wearing a hat .", "what is the man doing"),
        ("A man swings at a ball .", "what is the man swinging"),
    ],
)
def test_what_is_not_asked(caption: str, absent: str) -> None:
    assert absent not in by_text((caption,))


def test_right_answers() -> None:
    question = by_text(CAPTIONS)["where is the dog"]
    assert question.is_right("on the water")
    assert question.is_right("snow")
    assert not question.is_right("in the grass")
    assert not question.is_right("")
    assert not question.is_right(NOT_FOUND)
    number = by_text(("A dog and three dogs .",))["how many dogs are there"]
    assert number.is_right("three")
    assert not number.is_right("two")
    doing = PictureQuestion(0, "doing", "", "riding", "man", frozenset({"riding"}))
    assert doing.is_right("riding a horse")
    assert not doing.is_right("a horse")


def many_pictures() -> list[list[str]]:
    """Sixty pictures of animals that do something somewhere, with a thing or without."""
    animals, verbs = ("dog", "horse", "cat", "bird"), ("running", "sleeping", "eating")
    places, things = ("beach", "street", "grass"), ("ball", "stick", "box")
    return [
        [
            f"A {('brown', 'white', 'black')[i % 3]} {animals[i % 4]} is {verbs[i % 3]} on the "
            f"{places[i // 4 % 3]} with a red {things[i // 2 % 3]} ."
        ]
        for i in range(60)
    ]


def test_yes_is_as_frequent_as_no_for_each_noun_and_both_are_true() -> None:
    captions = many_pictures()
    questions = [q for q in make_questions(captions, 0) if q.family == "yes/no"]
    assert len(questions) > 100
    counts = Counter((q.question, q.answer) for q in questions)
    for (text, answer), number in counts.items():
        other = "no" if answer == "yes" else "yes"
        assert counts[text, other] == number
    for question in questions:
        there = question.thing in captions[question.picture][0].split()
        assert question.answer == ("yes" if there else "no")


def test_what_is_not_there_is_asked_about_in_the_same_words() -> None:
    captions = many_pictures()
    questions = make_questions(captions, 0)
    absent = [q for q in questions if q.family == NOT_FOUND]
    answered = {q.question for q in questions if q.family != NOT_FOUND}
    assert absent
    for question in absent:
        assert question.question in answered
        assert question.thing not in captions[question.picture][0].split()
        assert question.is_right(NOT_FOUND)
        assert not question.is_right("red")


def test_a_person_is_not_asked_for_as_another_kind_of_person() -> None:
    captions = [["A man is running with a ball ."], ["A boy is running with a ball ."]] * 10
    questions = make_questions(captions, 0)
    assert not [q for q in questions if q.answer == "no" and q.thing in ("man", "boy")]


def test_one_is_no_more_frequent_than_two() -> None:
    captions = [["A dog runs ."], ["A dog sits ."], ["Two dogs run ."]] * 8
    answers = Counter(q.answer for q in make_questions(captions, 0) if q.family == "number")
    assert answers == {"one": 8, "two": 8}


def test_the_seed_decides() -> None:
    captions = many_pictures()
    assert make_questions(captions, 1) == make_questions(captions, 1)
    assert make_questions(captions, 1) != make_questions(captions, 2)
    assert {q.family for q in make_questions(captions, 1)} <= set(FAMILIES)


def names(set_name: str, label: str | None, *captions: str) -> list[tuple[str, str]]:
    row = ImageRow(set_name, "x.webp", "train", captions, label)
    return sorted((question.question, question.answer) for question in name_questions([row]))


def test_labels_are_asked_for_by_their_kind() -> None:
    assert names("sports100", "air hockey") == [("what sport is it", "air hockey")]
    assert names("intel_scenes", "forest") == [("what place is it", "a forest")]
    assert names("caltech101", "pagoda") == [("what is it", "a pagoda")]
    assert names("caltech101", "Elephant") == [
        ("what animal is it", "an elephant"),
        ("what is it", "an elephant"),
    ]


def test_captions_name_animals_and_vehicles_but_not_people_or_what_food_is_called_after() -> None:
    caption = "A man feeds a dog beside his car ."
    assert names("flickr8k", None, caption) == [
        ("what animal is it", "a dog"),
        ("what vehicle is it", "a car"),
    ]


def test_answers_ask_the_decoder_in_the_words_that_it_was_taught() -> None:
    labels = (("sports100", "golf"), ("intel_scenes", "sea"), ("caltech101", "elephant"))
    rows = [ImageRow(name, "x.webp", "train", (), label) for name, label in labels]
    taught = [*make_questions(many_pictures(), 0), *name_questions(rows)]
    assert {question.family for question in taught} > {"doing", "where", "colour", "name"}
    for question in taught:
        if question.family != "yes/no":
            assert learned_words(question.question) == question.question
