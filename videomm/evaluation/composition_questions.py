"""Questions about compositions: what was first, last, before, after; when, and how often.

The pictures' own questions (`videomm.training.questions`) are asked about one scene among others,
which the question alone tells: "what is the dog doing at the end". What is right is what is right
about that scene's picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videomm.training.compositions import Composition, draw_composition
from videomm.training.questions import PictureQuestion
from videomm.types import Answer

ORDER = ("first", "last", "before", "after")
FAMILIES = (*ORDER, "when", "how many scenes", "how many times")
# Of what is asked about one scene: yes, no and numbers are guessed too easily.
_ASKED = ("doing", "who", "what", "where", "colour")
_ENDS = {"first": "at the start", "last": "at the end"}


@dataclass(frozen=True)
class CompositionQuestion:
    """A question about a composition.

    Attributes:
        composition: what is shown.
        family: one of `FAMILIES`.
        question: as `videomm ask` takes it.
        moments: seconds of the scenes that the answer rests on.
        about: the question about the scene's picture, where it is one.
        count: the answer to "how many".
    """

    composition: Composition
    family: str
    question: str
    moments: tuple[tuple[float, float], ...]
    about: PictureQuestion | None = None
    count: int = 0

    def is_right(self, answer: Answer) -> bool:
        """Whether an answer is right; that to "when" is its evidence."""
        if answer.answer is None:
            return False
        if self.family == "when":
            return self.points_there(answer)
        if self.about is None:
            return answer.answer == str(self.count)
        return self.about.is_right(answer.answer)

    def points_there(self, answer: Answer) -> bool:
        """Whether the middle of the answer's best evidence lies in a scene that it rests on."""
        if not answer.evidence:
            return False
        best = answer.evidence[0]
        return self.is_shown_at((best.start + best.end) / 2)

    def is_shown_at(self, seconds: float) -> bool:
        """Whether a scene that the answer rests on is on screen then."""
        return any(start <= seconds < end for start, end in self.moments)


def draw_composition_questions(
    captions: Sequence[Sequence[str]], questions: Sequence[PictureQuestion], number: int, seed: int
) -> dict[str, list[CompositionQuestion]]:
    """Questions about random compositions.

    Args:
        captions: of each picture, at least one.
        questions: about the pictures.
        number: of each family.
        seed: of all that is drawn.

    Raises:
        ValueError: no question is about one scene.
    """
    about: dict[int, list[PictureQuestion]] = defaultdict(list)
    for question in questions:
        if question.family in _ASKED:
            about[question.picture].append(question)
    if not about:
        raise ValueError(f"compositions need questions of the families {', '.join(_ASKED)}")
    drawn: dict[str, list[CompositionQuestion]] = {family: [] for family in FAMILIES}
    rng, numbers = np.random.default_rng(seed), [len(row) for row in captions]
    for family in FAMILIES:
        place = 0
        while len(drawn[family]) < number:
            one = draw_composition(numbers, seed, place)
            place += 1
            found = _ask(family, one, captions, about, rng)
            if found is not None:
                drawn[family].append(found)
    return drawn


def _ask(
    family: str,
    composition: Composition,
    captions: Sequence[Sequence[str]],
    about: dict[int, list[PictureQuestion]],
    rng: np.random.Generator,
) -> CompositionQuestion | None:
    """A question of a family, or None where this composition gives none."""
    scenes = composition.scenes
    said = {
        picture: captions[picture][caption].lower().strip(" .")
        for picture, caption in zip(composition.pictures, composition.captions, strict=True)
    }
    spans = tuple((scene.start, scene.end) for scene in scenes)
    if family == "how many scenes":
        return CompositionQuestion(
            composition, family, "how many scenes are there", spans, count=len(scenes)
        )
    returning = [p for p in composition.pictures if len(composition.moments(p)) > 1]
    if family == "how many times":
        # Half of them return, so "1" alone is not right.
        again = bool(rng.random() < 0.5)
        asked = [p for p in composition.pictures if (p in returning) == again]
        if not asked:
            return None
        picture = asked[int(rng.integers(len(asked)))]
        moments = tuple(composition.moments(picture))
        text = f"how many times does {said[picture]} appear"
        return CompositionQuestion(composition, family, text, moments, count=len(moments))
    if family == "when":
        picture = composition.pictures[int(rng.integers(len(said)))]
        moments = tuple(composition.moments(picture))
        return CompositionQuestion(
            composition, family, f"when does {said[picture]} happen", moments
        )
    if returning:
        return None
    if family in _ENDS:
        place, suffix = (0 if family == "first" else len(scenes) - 1), _ENDS[family]
    else:
        step = 1 if family == "after" else -1
        event = int(rng.integers(1, len(scenes))) - (family == "after")
        place, suffix = event + step, f"{family} {said[scenes[event].picture]}"
    choices = about[scenes[place].picture]
    if not choices:
        return None
    question = choices[int(rng.integers(len(choices)))]
    text = f"{question.question} {suffix}"
    return CompositionQuestion(composition, family, text, (spans[place],), about=question)
