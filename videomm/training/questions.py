"""Questions about captioned pictures, made from their captions by rules.

What people wrote is the truth: "a brown dog runs through the grass" answers what colour the dog is,
what it is doing, where it is, and how many there are. A picture's captions are read together, so
that all that one of its authors said counts as right. Where a rule misreads a caption, the question
is a little wrong; most are not.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

import numpy as np

from videomm.tasks.candidates import read_candidates
from videomm.tasks.colours import COLOURS
from videomm.tasks.commonness import subject_words
from videomm.tasks.concepts import read_bank
from videomm.tasks.phrases import (
    NUMBERS,
    PREPOSITIONS,
    base_verb,
    content_words,
    gerund,
    indefinite,
    is_gerund,
    plural,
    singular,
)
from videomm.tasks.questions import NOT_FOUND
from videomm.training.image_data import ImageRow

FAMILIES = ("doing", "what", "who", "where", "colour", "number", "yes/no", NOT_FOUND)
_PLACED = ("in", "on", "at", "near", "under", "through", "over", "across", "along", "beside")
_ARTICLES = ("a", "an", "the", "some", "his", "her", "its", "their")
_SPELLINGS = {"gray": "grey", "tan": "brown", "golden": "yellow", "blond": "yellow"}
# Verbs that say nothing of what is done, and nouns that are no thing to point at.
_EMPTY_VERBS = frozenset({"be", "get", "have", "do", "wear", "use", "look", "show", "make", "take"})
_VAGUE = frozenset(
    {"side", "front", "top", "back", "middle", "air", "picture", "background", "foreground"}
    | {"something", "hand", "arm"}
)
_NAMED_KINDS = ("animal", "bird", "vehicle", "instrument", "food", "flower", "insect")
_THING = ""
_NAMING = ("what {}is it", "what {}is there", "what {}can be seen")
# Sets whose labels take no article ("archery"), and are no whole sentence about a picture.
ACTIVITIES = ("sports100",)
_COMMONEST = 400  # nouns that are asked about: the decoder knows no rare ones


@dataclass(frozen=True)
class PictureQuestion:
    """A question about a picture.

    Attributes:
        picture: number of the picture.
        family: one of `FAMILIES`, or `name`.
        question: lower-case words, without a question mark.
        answer: what is to be said.
        thing: the noun that it is about.
        right: the words one of which a right answer ends with, or all of the answer; of what
            somebody does it begins with it: "riding a horse".
    """

    picture: int
    family: str
    question: str
    answer: str
    thing: str
    right: frozenset[str]

    def is_right(self, answer: str) -> bool:
        """Whether an answer counts as right: "a man" where the captions have "the man"."""
        words = answer.split()
        said = words[:1] if self.family == "doing" else words[-1:]
        return answer in self.right or any(singular(word) in self.right for word in said)


Key = TypeVar("Key")
Counts = dict[Key, Counter[str]]


@dataclass(frozen=True)
class Said:
    """What the captions of a picture say.

    Attributes:
        nouns: things that are named, in the singular, by the number of captions.
        doing: verbs in their -ing form that people or animals of a name do.
        places: places of a thing of a name, such as "in the water".
        colours: colours of a thing of a name.
        numbers: how many of a thing.
        objects: what is done to which things: (subject, verb) to nouns.
    """

    nouns: Counter[str] = field(default_factory=Counter)
    doing: Counts[str] = field(default_factory=lambda: defaultdict(Counter))
    places: Counts[str] = field(default_factory=lambda: defaultdict(Counter))
    colours: Counts[str] = field(default_factory=lambda: defaultdict(Counter))
    numbers: Counts[str] = field(default_factory=lambda: defaultdict(Counter))
    objects: Counts[tuple[str, str]] = field(default_factory=lambda: defaultdict(Counter))


@cache
def known_nouns() -> frozenset[str]:
    """Last words of the things and places of the bank, and words for people and animals."""
    bank = read_bank()
    entries = zip(bank.entries, bank.sections, strict=True)
    nouns = {singular(entry.split()[-1]) for entry, section in entries if section != "actions"}
    return frozenset((nouns | set(subject_words())) - _VAGUE - {*COLOURS, *NUMBERS, *PREPOSITIONS})


@cache
def no_places() -> frozenset[str]:
    """Words for people, animals and clothes: "in a red shirt" is not where somebody is."""
    clothes = (content_words(item) for item in read_candidates().answers["clothes"])
    return frozenset(subject_words()).union(*clothes) | {"costume", "outfit", "clothing", "gear"}


def read_captions(captions: Iterable[str]) -> Said:
    """Read all captions of one picture."""
    said = Said()
    for caption in captions:
        words = re.findall(r"[a-z]+", caption.lower())
        _read(["grey" if word == "gray" else word for word in words], said)
    return said


def _read(words: Sequence[str], said: Said) -> None:
    nouns, subjects = known_nouns(), subject_words()
    places = [i for i, word in enumerate(words) if singular(word) in nouns and not is_gerund(word)]
    # Of "a baseball player" the player counts.
    heads = [i for i in places if i + 1 not in places]
    said.nouns.update({singular(words[i]) for i in heads})
    for i in heads:
        noun, start = singular(words[i]), i
        while start and words[start - 1] not in _ARTICLES and i - start < 3:
            start -= 1
            if words[start] in COLOURS and words[i - 1 : i] in (
                [words[start]],
                words[start + 1 : i],
            ):
                said.colours[noun][words[start]] += 1
        before = words[start:i]
        number = next((word for word in before if word in NUMBERS), None)
        if number:
            said.numbers[noun][number] += 1
        elif start and words[start - 1] in ("a", "an") and singular(words[i]) == words[i]:
            said.numbers[noun]["one"] += 1
        if noun in subjects:
            _read_clause(words, i, heads, said)


def _read_clause(words: Sequence[str], subject: int, heads: Sequence[int], said: Said) -> None:
    """What the subject does, to what, and where."""
    noun = singular(words[subject])
    after = subject + 1
    end = next((i for i in heads if i > subject and words[i] in subject_words()), len(words))
    several = words[subject] != noun
    verbs = {i: _verb(words[i], several) for i in range(after, min(after + 3, end))}
    verb = next((i for i, base in verbs.items() if base), None)
    if verb is not None:
        doing = gerund(verbs[verb] or "")
        said.doing[noun][doing] += 1
        after = verb + 1
        thing = next((i for i in heads if verb < i <= verb + 4), None)
        if thing is not None and words[verb + 1] in _ARTICLES:
            between = words[verb + 2 : thing]
            if not any(word in _PLACED or word in _ARTICLES for word in between):
                said.objects[noun, doing][singular(words[thing])] += 1
    for i in range(after, min(after + 5, len(words) - 2)):
        if words[i] in _PLACED:
            place = next((j for j in heads if i < j <= i + 3), None)
            if place is None or singular(words[place]) in no_places():
                break
            if not any(word in _PLACED for word in words[i + 1 : place]):
                said.places[noun][f"{words[i]} the {words[place]}"] += 1
            break


def _verb(word: str, several: bool) -> str | None:
    """The verb of "running" or "runs", or of "run" behind several, where it says what is done."""
    verb = base_verb(word)
    acts = is_gerund(word) or (word == verb if several else word.endswith("s"))
    return verb if acts and verb not in _EMPTY_VERBS else None


def questions_of(picture: int, said: Said, asked: frozenset[str]) -> list[PictureQuestion]:
    """Questions that a picture's captions answer, but for those with yes or no.

    Args:
        picture: its number.
        said: what the captions say.
        asked: nouns that may be asked about.
    """
    found: list[PictureQuestion] = []

    def ask(family: str, question: str, answer: str, thing: str, right: Iterable[str]) -> None:
        words = frozenset(singular(word) for word in right)
        found.append(PictureQuestion(picture, family, question, answer, thing, words))

    kinds = subject_words()
    of_kind: dict[str, set[str]] = defaultdict(set)
    for noun, verbs in said.doing.items():
        of_kind[kinds[noun]] |= set(verbs)
    for noun, verbs in said.doing.items():
        if noun in asked:
            ask("doing", f"what is the {noun} doing", commonest(verbs), noun, of_kind[kinds[noun]])
    for (noun, verb), things in said.objects.items():
        if noun in asked and commonest(things) in asked:
            ask("what", f"what is the {noun} {verb}", indefinite(commonest(things)), noun, things)
    for verb in sorted(set().union(*of_kind.values())):
        doers = Counter({n: verbs[verb] for n, verbs in said.doing.items() if verbs[verb]})
        subject = commonest(doers)
        number = commonest(said.numbers.get(subject) or Counter(["one"]))
        who = indefinite(subject) if number == "one" else f"{number} {plural(subject)}"
        right = [n for n in said.nouns if kinds.get(n) == kinds[subject]]
        ask("who", f"who is {verb}", who, subject, right)
    all_places = {place.split()[-1] for places in said.places.values() for place in places}
    for noun, places in said.places.items():
        if noun in asked:
            ask("where", f"where is the {noun}", commonest(places), noun, all_places)
    for noun, colours in said.colours.items():
        if noun in asked:
            ask("colour", f"what colour is the {noun}", commonest(colours), noun, colours)
    for noun, numbers in said.numbers.items():
        if noun in asked:
            ask("number", f"how many {plural(noun)} are there", commonest(numbers), noun, numbers)
    return found


def commonest(counts: Counter[str]) -> str:
    """The commonest; of equally common ones the first in order."""
    return min(counts, key=lambda item: (-counts[item], item))


def make_questions(captions: Sequence[Sequence[str]], seed: int) -> list[PictureQuestion]:
    """Questions about pictures, in random order.

    Each noun is asked for ("is there a ball") as often in a picture without it as in one with it,
    so the question alone tells nothing; a picture without it is one that shares another noun with
    a picture that has it. Every second question about what a thing does, where it is and what
    colour it has is asked of such a picture, too, where the answer is that it is not found.

    Args:
        captions: of each picture.
        seed: of all that is drawn.
    """
    said = [read_captions(row) for row in captions]
    pictures_with: dict[str, list[int]] = defaultdict(list)
    for picture, one in enumerate(said):
        for noun in one.nouns:
            pictures_with[noun].append(picture)
    ranked = sorted(pictures_with, key=lambda noun: (-len(pictures_with[noun]), noun))
    asked = frozenset(ranked[:_COMMONEST])
    questions = [q for picture, one in enumerate(said) for q in questions_of(picture, one, asked)]
    rng = np.random.default_rng(seed)
    questions = _fewer_ones(questions, rng)
    about: dict[str, list[str]] = defaultdict(list)
    for question in questions:
        if question.family in ("doing", "where", "colour"):
            about[question.thing].append(question.question)
    for noun in sorted(asked):
        have = pictures_with[noun]
        lack = _near_misses(noun, have, said, pictures_with, rng)
        text = f"is there {indefinite(noun)}"
        for yes, no in zip(rng.permutation(have).tolist(), lack, strict=False):
            for picture, answer in ((yes, "yes"), (no, "no")):
                right = frozenset({answer})
                questions.append(PictureQuestion(picture, "yes/no", text, answer, noun, right))
        twins = rng.permutation(about[noun])[: len(about[noun]) // 2].tolist()
        for picture, text in zip(reversed(lack), twins, strict=False):
            right = frozenset({NOT_FOUND})
            questions.append(PictureQuestion(picture, NOT_FOUND, text, NOT_FOUND, noun, right))
    return [questions[i] for i in rng.permutation(len(questions))]


def name_questions(rows: Sequence[ImageRow]) -> list[PictureQuestion]:
    """What pictures show, by their labels and by the kinds of the things that captions name.

    A label answers "what is it", and where it is of a kind "what animal is it", "what sport is
    it"; so do the animals, vehicles and instruments of captions. These train only: as many kinds
    have one commonest answer, they would flatter a decoder that sees nothing.
    """
    found = []
    for picture, row in enumerate(rows):
        names = [row.label.lower()] if row.label else sorted(read_captions(row.captions).nouns)
        of_kind: dict[str, list[str]] = defaultdict(list)
        for name in names:
            for kind in _kinds_of(name, row):
                of_kind[kind].append(name)
        for kind, named in of_kind.items():
            question = _NAMING[picture % len(_NAMING)].format(f"{kind} ".lstrip())
            right = frozenset(singular(name.split()[-1]) for name in named)
            for name in named:
                answer = name if kind == "sport" else indefinite(name)
                found.append(PictureQuestion(picture, "name", question, answer, kind, right))
    return found


def _kinds_of(name: str, row: ImageRow) -> list[str]:
    """The kinds that a name answers to; a label also to no kind, `_THING`."""
    if row.set_name in ACTIVITIES:
        return ["sport"]
    if row.set_name == "intel_scenes":
        return ["place"]
    answers = read_candidates().answers
    kinds = [k for k in _NAMED_KINDS if indefinite(singular(name)) in answers[k]]
    return [*kinds, _THING] if row.label else kinds


def _fewer_ones(
    questions: Sequence[PictureQuestion], rng: np.random.Generator
) -> list[PictureQuestion]:
    """Of questions for a number no more with the answer one than with two: of nine in ten it is."""
    ones = [q for q in questions if q.family == "number" and q.answer == "one"]
    twos = sum(q.family == "number" and q.answer == "two" for q in questions)
    kept = {ones[i] for i in rng.permutation(len(ones))[:twos].tolist()}
    return [q for q in questions if not (q.family == "number" and q.answer == "one") or q in kept]


def _near_misses(
    noun: str,
    have: Sequence[int],
    said: Sequence[Said],
    pictures_with: dict[str, list[int]],
    rng: np.random.Generator,
) -> list[int]:
    """A picture without the noun for each that has it, with another noun in common."""
    kinds = subject_words()

    def lacks(picture: int) -> bool:
        nouns = said[picture].nouns
        # A "person" may well be a man, and an "animal" a dog.
        related = noun in kinds and any(kinds.get(other) == kinds[noun] for other in nouns)
        return noun not in nouns and not related

    misses = []
    for picture in have:
        others = sorted(set(said[picture].nouns) - {noun})
        for _ in range(4):
            if not others:
                break
            near = pictures_with[others[int(rng.integers(len(others)))]]
            candidate = near[int(rng.integers(len(near)))]
            if lacks(candidate):
                misses.append(candidate)
                break
    return misses
