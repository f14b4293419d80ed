"""The grammar of questions: one row a form, tried in order, and what each row builds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from videomm.tasks.phrases import (
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    gerund,
    indefinite,
    predicate,
    singular,
    split_clause,
)


class Form(StrEnum):
    """What kind of answer a question asks for."""

    YES_NO = "yes/no"
    WHEN = "when"
    HOW_LONG = "how long"
    DURATION = "duration"
    COUNT_SCENES = "how many scenes"
    COUNT_TIMES = "how many times"
    COUNT = "how many"
    PICK = "pick"
    DESCRIBE = "describe"
    OPEN = "open"
    UNANSWERABLE = "none"


class Part(StrEnum):
    """Which part of the video a question is about."""

    WHOLE = "whole"
    FIRST = "first"
    LAST = "last"
    BEFORE = "before"
    AFTER = "after"
    AT = "at"


@dataclass(frozen=True)
class Question:
    """A question, understood.

    Attributes:
        text: as it was asked.
        form: what kind of answer it wants.
        subject: what it presupposes, such as `a man`; empty where nothing.
        statement: what has to hold, such as `a man jumping over a fence`; empty where nothing.
        template: a statement with `{}` for the answer; empty unless the form is PICK.
        kind: name of the candidates to pick from: a kind of `assets/answers.txt`, or `object`,
            `scene` or `action` of the bank.
        choices: answers that the question itself offers ("a cat or a dog?").
        part: which part of the video it is about.
        event: what BEFORE and AFTER refer to.
        seconds: the time that AT refers to.
        words: the text in lower case, without what says which part of the video it is about.
    """

    text: str
    form: Form
    subject: str = ""
    statement: str = ""
    template: str = ""
    kind: str = ""
    choices: tuple[str, ...] = ()
    part: Part = Part.WHOLE
    event: str = ""
    seconds: float = 0.0
    words: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it says all that its form needs to be answered."""
        bare = (Form.DURATION, Form.COUNT_SCENES, Form.DESCRIBE, Form.UNANSWERABLE)
        return self.form in bare or bool(self.template or self.statement)

    @property
    def presupposed(self) -> tuple[str, ...]:
        """Phrases that must be there for the question to have an answer."""
        return tuple(dict.fromkeys(filter(None, (self.subject, self.statement))))


# Words that ask for a kind of candidates of the bank; `answers.txt` names the other kinds.
BANK_KINDS = {
    **dict.fromkeys(("object", "objects", "thing", "things", "item", "items"), "object"),
    **dict.fromkeys(("place", "places", "location", "room", "setting", "scenery"), "scene"),
    **dict.fromkeys(("activity", "activities", "action", "actions"), "action"),
}
# What is worn, eaten and so on, where the verb says so.
_VERB_KINDS = {
    "wear": "clothes",
    "eat": "food",
    "cook": "food",
    "drink": "drink",
    "drive": "vehicle",
}
_ING_KINDS = {gerund(verb): kind for verb, kind in _VERB_KINDS.items()}

SEEN = r"(?:seen|visible|shown|there|present|appearing|on screen|in view|depicted)"
VIDEO = r"(?:video|clip|film|movie|footage|recording|scene|shot|picture|image)"
APPEAR = (
    r"(?:appears?|show(?:s|n)? up|turns? up|comes? (?:up|into view|on screen|into the picture)"
    rf"|happens?|occurs?|takes? place|(?:be |is |are |was |were )?{SEEN})"
)
WHEN = r"(?:when|at (?:what|which) (?:time|moment|point|second)|what time|in (?:what|which) part)"


def event_phrase(clause: str) -> str:
    """What has to be looked for: `the man jumps over it` gives `a man jumping over it`."""
    return _clause(clause, base=False)[1]


def _clause(clause: str, *, base: bool) -> tuple[str, str]:
    bare = re.sub(rf"\s+(?:{APPEAR}|starts?|begins?|ends?|stops? being shown)$", "", clause)
    if bare != clause:
        # All that is left is the thing that appears: "the fire engine", where nothing fires.
        return (indefinite(bare),) * 2
    subject, rest = split_clause(clause.split(), base=base)
    if rest and rest[0] in ("is", "are", "was", "were"):
        rest = rest[1:]
    thing = indefinite(" ".join(subject))
    return thing, f"{thing or 'something'} {predicate(rest)}".strip() if rest else thing


Build = Callable[[dict[str, str], dict[str, str]], "Question | None"]


def _plain(form: Form, **values: str) -> Build:
    return lambda found, kinds: Question("", form, **values)  # type: ignore[arg-type]


def _about(form: Form, *, base: bool) -> Build:
    def build(found: dict[str, str], kinds: dict[str, str]) -> Question | None:
        subject, statement = _clause(found["rest"], base=base)
        if not statement:
            return None
        return Question("", form, subject=subject, statement=statement)

    return build


def _verbatim(found: dict[str, str], kinds: dict[str, str]) -> Question:
    """ "when does A MAN JUMPS OVER A FENCE happen": a caption, taken as it stands."""
    return Question("", Form.WHEN, statement=found["rest"])


def _exists(found: dict[str, str], kinds: dict[str, str]) -> Question:
    return _yes_no(indefinite(found["rest"]))


def _yes_no(phrase: str) -> Question:
    """Whether something is there; for "a man talking" the man is looked for, too."""
    subject, rest = split_clause(phrase.split(), base=False)
    thing = " ".join(subject)
    known = bool(rest) and (rest[0] in PREPOSITIONS or rest[0].endswith("ing"))
    return Question("", Form.YES_NO, subject=thing if known else "", statement=phrase)


def _is_it(found: dict[str, str], kinds: dict[str, str]) -> Question:
    offered = re.split(r",? or ", found["rest"])
    if len(offered) > 1:
        choices = tuple(
            item.strip() for part in offered for item in part.split(",") if item.strip()
        )
        return Question("", Form.PICK, template="{}", choices=choices)
    rest = found["rest"]
    plain = rest.split()[0] in ("a", "an", "the") or len(rest.split()) > 1
    return Question("", Form.YES_NO, statement=rest if plain else f"it is {rest}")


def _has(found: dict[str, str], kinds: dict[str, str]) -> Question:
    who = indefinite(found["who"] or found["who2"])
    what = indefinite(found["what"] or found["what2"])
    return Question("", Form.YES_NO, subject=who, statement=f"{who} with {what}")


def _kind(noun: str, kinds: dict[str, str]) -> str:
    """The kind of candidates that a noun phrase asks for, by its last word."""
    words = re.sub(r"^(?:kinds?|types?|sorts?|species|breeds?|pieces?) of (?:an? )?", "", noun)
    return kinds.get(words.split()[-1], "") if words else ""


def _pick_kind(found: dict[str, str], kinds: dict[str, str]) -> Question | None:
    """ "what animals are there", "which instrument is played", "what sport is it"."""
    kind = _kind(found["noun"], kinds)
    if not kind:
        return None
    return Question("", Form.PICK, template="{}", kind=kind)


def _pick_kind_doing(found: dict[str, str], kinds: dict[str, str]) -> Question | None:
    """ "what animal is the man riding", "what colour does the dog have"."""
    kind = _kind(found["noun"], kinds)
    if not kind:
        return None
    subject, statement = _clause(found["rest"], base="base" in found and bool(found["base"]))
    if kind == "colour":
        subject = indefinite(re.sub(r"\s+(?:have|painted|wearing)$", "", found["rest"]))
        return _colour(subject)
    return Question("", Form.PICK, subject, statement, f"{statement} {{}}", kind)


def _colour_of(found: dict[str, str], kinds: dict[str, str]) -> Question | None:
    return _colour(indefinite(found["rest"]))


def _colour(thing: str) -> Question:
    bare = re.sub(r"^(?:an?|the) ", "", thing) or "object"
    return Question("", Form.PICK, subject=thing, template=f"{{}} {bare}", kind="colour")


def _weather(found: dict[str, str], kinds: dict[str, str]) -> Question:
    noun = found["noun"] or found["other"]
    kind = noun if noun in ("weather", "season") else "daytime"
    templates = {"weather": "{} weather", "season": "in {}", "daytime": "in the {}"}
    return Question("", Form.PICK, template=templates[kind], kind=kind)


def _doing(found: dict[str, str], kinds: dict[str, str]) -> Question:
    subject = indefinite(found["rest"] or found["other"])
    template = f"{subject} {{}}" if subject else "{}"
    return Question("", Form.PICK, subject=subject, template=template, kind="action")


def _object_of(base: bool) -> Build:
    """ "what is the man holding", "what does the man hold"."""

    def build(found: dict[str, str], kinds: dict[str, str]) -> Question | None:
        subject, statement = _clause(found["rest"], base=base)
        if not subject or statement == subject:
            return None
        verb = statement[len(subject) :].split()[0]
        if not verb.endswith("ing"):
            return None
        kind = _ING_KINDS.get(verb, "object")
        return Question("", Form.PICK, subject, f"{statement} something", f"{statement} {{}}", kind)

    return build


def _thing_at(found: dict[str, str], kinds: dict[str, str]) -> Question:
    """ "what is on the table", "what lies on the rock"."""
    place = f"{found['at']} {indefinite(found['rest'])}"
    subject = indefinite(found["rest"])
    return Question("", Form.PICK, subject=subject, template=f"{{}} {place}", kind="object")


def _thing_doing(found: dict[str, str], kinds: dict[str, str]) -> Question | None:
    """ "what is flowing", "what falls from the tree"."""
    words = predicate(found["rest"].split())
    if not words.split()[0].endswith("ing"):
        return None
    return Question(
        "", Form.PICK, statement=f"something {words}", template=f"{{}} {words}", kind="object"
    )


def _who(found: dict[str, str], kinds: dict[str, str]) -> Question:
    rest = re.sub(rf"^(?:is |are |was |were )?{APPEAR}$", "", found["rest"]).strip()
    rest = re.sub(r"^(?:is|are|was|were|does|do|can be seen)\b ?", "", rest)
    if rest in ("", "this", "that", "it", "he", "she", "they"):
        return Question("", Form.PICK, statement="a person", template="{}", kind="person")
    if rest.split()[0] in DETERMINERS:
        return Question("", Form.PICK, indefinite(rest), template="{}", kind="person")
    what = predicate(rest.split())
    known = what.split()[0].endswith("ing") or what.split()[0] in PREPOSITIONS
    link = what if known else f"with {what}"
    return Question("", Form.PICK, "a person", f"a person {link}", f"{{}} {link}", "person")


def _where(found: dict[str, str], kinds: dict[str, str]) -> Question:
    words = found["rest"].split()
    subject, rest = split_clause(words, base=bool(found.get("base")))
    if words[0] in PRONOUNS and words[0] not in ("he", "she", "someone", "somebody"):
        return Question("", Form.PICK, template="{}", kind="scene")
    # "where is the small dog": without "does" only a preposition or -ing ends the subject.
    whole = not found.get("base") and not (rest and rest[0].endswith(("ing", "ed")))
    thing = indefinite(found["rest"] if whole else " ".join(subject))
    statement = f"{thing} {predicate(rest)}" if rest and not whole else ""
    return Question("", Form.PICK, thing, statement, f"{statement or thing} {{}}", "scene")


def _count(found: dict[str, str], kinds: dict[str, str]) -> Question:
    noun = re.sub(rf"\s*{SEEN}$|^(?:of )?(?:the |different )?", "", found["rest"]).strip()
    noun = re.sub(r"\s+(?:are|is|do|does|can|were|was|in)$", "", noun)
    one = indefinite(singular(noun))
    if not one:
        return Question("", Form.OPEN, template="{}")
    return Question("", Form.COUNT, statement=one, template=f"{{}} {noun}")


_BE = r"(?:is|are|was|were)"
_DO = r"(?:does|do|did|can|could|will)"
_SEE = rf"(?:{_BE} (?:there|it|this|that|{SEEN})|{_DO} (?:you|we|i|one) see|can be seen|{APPEAR})"

_TABLE: tuple[tuple[str, Build], ...] = (
    # Time and weather
    (r"(?:what|which) (?:is the )?(?P<noun>weather|season|time of (?:the )?day)"
     rf"(?: {_BE} (?:it|this))?(?: like)?|how is the (?P<other>weather)", _weather),
    (r"why .+|how come .+|what .+ mean(?:ing)?|how (?:much|old|far|tall|big|fast) .+"
     r"|how (?:is|are|do(?:es)?) .+", _plain(Form.UNANSWERABLE)),
    # How long, how many
    (rf"how (?:long|many (?:seconds|minutes)) (?:{_BE} (?:it|this|that|(?:the|this) {VIDEO})"
     rf"(?: long)?|(?:does )?(?:it|(?:the|this) {VIDEO}) (?:last|take|run)s?|long)"
     rf"|what is the (?:length|duration)(?: of (?:the|this) {VIDEO})?", _plain(Form.DURATION)),
    (rf"(?:for )?how (?:long|many seconds) {_DO} (?P<rest>.+?)(?: last)?",
     _about(Form.HOW_LONG, base=True)),
    (rf"(?:for )?how (?:long|many seconds) {_BE} (?P<rest>.+)", _about(Form.HOW_LONG, base=False)),
    (rf"how many (?:different )?(?:scenes|shots|parts)(?: {_SEE}| {_DO} (?:it|the {VIDEO}) have)?",
     _plain(Form.COUNT_SCENES)),
    (rf"how (?:many times|often) {_DO} (?P<rest>.+)", _about(Form.COUNT_TIMES, base=True)),
    (rf"how (?:many times|often) {_BE} (?P<rest>.+)", _about(Form.COUNT_TIMES, base=False)),
    (rf"how many (?P<rest>.+?)(?: {_SEE}| {_BE} .+| {_DO} .+)?", _count),
    # When
    (rf"{WHEN} {_DO} (?P<rest>.+) (?:happen|occur|take place)s?", _verbatim),
    (rf"{WHEN} {_DO} (?:you|we|i|one) see (?P<rest>.+)", _about(Form.WHEN, base=False)),
    (rf"{WHEN} {_DO} (?P<rest>.+)", _about(Form.WHEN, base=True)),
    (rf"{WHEN} {_BE} (?:there )?(?P<rest>.+)", _about(Form.WHEN, base=False)),
    (rf"{WHEN} (?P<rest>.+)", _about(Form.WHEN, base=False)),
    # What happens
    (rf"what {_DO} (?:it|this|the {VIDEO}) (?:show|contain|depict)", _plain(Form.DESCRIBE)),
    (r"what (?:happens|happened|is happening|is going on|goes on|is shown|do we see|can be seen"
     rf"|comes|occurs)|what {_BE} (?:it|this|the) (?:{VIDEO} )?about|(?:describe|summarise) .+",
     _plain(Form.DESCRIBE)),
    # What
    (rf"(?:what|which) colou?rs? (?:{_BE}|{_DO}|has) (?P<rest>.+?)(?: have)?", _colour_of),
    (rf"(?:what|which) {_BE} the colou?rs? of (?P<rest>.+)", _colour_of),
    (rf"(?:what|which) {_BE} (?P<rest>.+) doing|what {_DO} (?P<other>.+) do", _doing),
    (rf"(?:what|which) (?P<noun>[a-z -]+?) "
     rf"(?:{_SEE}|{_BE} (?:being )?(?:\w+ed|{SEEN}|done|it))", _pick_kind),
    (rf"(?:what|which) (?P<noun>[a-z -]+?) {_BE} (?P<rest>.+)", _pick_kind_doing),
    (rf"(?:what|which) (?P<noun>[a-z -]+?) (?P<base>{_DO}) (?P<rest>.+)", _pick_kind_doing),
    (rf"what (?:{_BE} )?(?:{_SEE}|this|that|it)", _plain(Form.PICK, template="{}", kind="object")),
    (rf"what (?:{_BE}(?: standing| lying| sitting| hanging| placed)?|{_DO} (?:you|we|i) see"
     rf"|lies|stands|sits|hangs|can be seen|goes|appears|{_BE} {SEEN})"
     rf" (?P<at>{'|'.join(sorted(PREPOSITIONS))}) (?P<rest>.+)", _thing_at),
    (rf"what {_BE} (?P<rest>.+)", _object_of(base=False)),
    (rf"what {_DO} (?P<rest>.+)", _object_of(base=True)),
    (rf"what (?:{_BE} )?(?P<rest>.+)", _thing_doing),
    # Who and where
    (r"(?:who|whom) (?P<rest>.+)", _who),
    (rf"where {_BE} (?P<rest>.+)", _where),
    (rf"where (?P<base>{_DO}|was) (?P<rest>.+)", _where),
    # Yes or no
    (rf"(?:{_BE}) there (?P<rest>.+)", _exists),
    (rf"{_DO} (?:you|we|i|one) see (?P<rest>.+)", _exists),
    (rf"{_BE} (?:it|this|that) (?P<rest>.+)", _is_it),
    (rf"(?:has|have) (?P<who>.+?) (?P<what>(?:an?|any) .+)"
     rf"|{_DO} (?P<who2>.+?) have (?P<what2>.+)", _has),
    (rf"{_BE} (?P<rest>.+)", _about(Form.YES_NO, base=False)),
    (rf"(?:{_DO}|has|have|had) (?P<rest>.+)", _about(Form.YES_NO, base=True)),
)  # fmt: skip
RULES = tuple((re.compile(pattern), build) for pattern, build in _TABLE)
