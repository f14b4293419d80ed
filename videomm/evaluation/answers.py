"""Answers to questions about pictures, family by family, and what the questions alone give away."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from videomm.tasks.phrases import NUMBERS, singular
from videomm.tasks.questions import NOT_FOUND
from videomm.training.image_data import ImageRow
from videomm.training.questions import FAMILIES, PictureQuestion, commonest

ROOMS = "daquar"


def draw_questions(
    questions: Sequence[PictureQuestion], number: int
) -> dict[str, list[PictureQuestion]]:
    """The first questions of each family, at most `number`.

    Whether something is found is half a family: to its questions without an answer come as many of
    the same words that have one.
    """
    drawn: dict[str, list[PictureQuestion]] = {family: [] for family in FAMILIES}
    for question in questions:
        if len(drawn[question.family]) < number:
            drawn[question.family].append(question)
    absent = drawn[NOT_FOUND] = drawn[NOT_FOUND][: number // 2]
    wanted = Counter(question.question for question in absent)
    for question in questions:
        if question.family != NOT_FOUND and wanted[question.question] > 0:
            wanted[question.question] -= 1
            absent.append(question)
    return drawn


def room_questions(rows: Sequence[ImageRow]) -> list[PictureQuestion]:
    """DAQUAR's questions about rooms that have one answer (Malinowski and Fritz 2014).

    Args:
        rows: of the set; a question's picture is the number of its row.
    """
    words = {str(number): word for word, number in NUMBERS.items()}
    found = []
    for picture, row in enumerate(rows):
        for question, answer in zip(row.questions, row.answers, strict=True):
            if "," in answer:
                continue
            said = words.get(answer, answer.replace("_", " "))
            right = frozenset({said, singular(said.split()[-1])})
            found.append(PictureQuestion(picture, ROOMS, question.rstrip(" ?"), said, "", right))
    return found


def accuracy(family: str, questions: Sequence[PictureQuestion], answers: Sequence[str]) -> float:
    """Share of right answers, in percent; of `NOT_FOUND` the share of right refusals and of none.

    Raises:
        ValueError: there are no questions, or numbers do not fit.
    """
    if not questions or len(questions) != len(answers):
        raise ValueError(
            f"every question needs an answer, got {len(questions)} questions and "
            f"{len(answers)} answers"
        )
    pairs = zip(questions, answers, strict=True)
    if family == NOT_FOUND:
        right = [(answer == NOT_FOUND) == (q.family == NOT_FOUND) for q, answer in pairs]
    else:
        right = [q.is_right(answer) for q, answer in pairs]
    return 100 * float(np.mean(right))


def most_frequent(questions: Sequence[PictureQuestion]) -> dict[str, str]:
    """The commonest answer of each family; for `NOT_FOUND` it is that."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for question in questions:
        counts[question.family][question.answer] += 1
    return {family: commonest(answers) for family, answers in counts.items()}
