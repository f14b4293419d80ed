"""English questions to what has to be looked for.

The forms of questions are rows of `grammar.py`. What no row knows becomes an open question (what is
to be seen?) that says so, or one that is not answered at all ("why ...").
"""

from __future__ import annotations

import re
from dataclasses import replace

from videomm.errors import InvalidInputError
from videomm.tasks.grammar import (
    BANK_KINDS,
    RULES,
    VIDEO,
    WHEN,
    Form,
    Part,
    Question,
    event_phrase,
)
from videomm.tasks.phrases import singular

__all__ = ["NOT_FOUND", "Form", "Part", "Question", "learned_words", "parse_question"]

_TAIL = re.compile(
    rf"\s+(?:(?:in|on|of|during|throughout) (?:the|this|that) {VIDEO}"
    rf"|on (?:the )?screen|anywhere|please|at all)$"
)
_HEAD = re.compile(
    r"^(?:please |so,? |and |hey,? |excuse me,? "
    r"|(?:can|could|would) you (?:please )?(?:tell|show) me "
    r"|(?:please )?tell me |do you know |i (?:want|would like) to know |in (?:the|this) video,? )+"
)
_CONTRACTED = re.compile(r"\b(what|who|where|when|how|there|it|that)(?:'|’)s\b")
_TIME = re.compile(
    r"\s+(?:at|around|about)(?: the)?(?: time| second)?"
    r" (?:(?P<m>\d+):(?P<s>\d+(?:\.\d+)?)|(?P<n>\d+(?:\.\d+)?)(?: ?s(?:ec(?:ond)?s?)?)?)$"
)
_ENDS = (
    (re.compile(r"\s+(?:at|in|near) the (?:very )?(?:start|beginning|opening)$"), Part.FIRST),
    (re.compile(r"\s+(?:at|in|near) the (?:very )?(?:end|close)$"), Part.LAST),
    (re.compile(r"\s+first$"), Part.FIRST),
    (re.compile(r"\s+(?:last|finally)$"), Part.LAST),
)
_NEAR = re.compile(r"\s+(?:(?:right|just|directly) )?(before|after) (.+)$")


# What the text decoder says of what is not there.
NOT_FOUND = "not found"
_NOUN = r"(?:[a-z-]+ )?[a-z-]+"
_LEARNED = (
    (rf"(?P<head>what) (?:is|are|was|were) the (?P<noun>{_NOUN}) (?P<verb>[a-z]+ing)",
     "{head} is the {noun} {verb}"),
    (rf"(?P<head>what colour|where) (?:is|are|was|were) the (?P<noun>{_NOUN})",
     "{head} is the {noun}"),
    (r"who (?:is|are|was|were) (?P<verb>[a-z]+ing)", "who is {verb}"),
    (rf"how many (?P<many>{_NOUN}) (?:are|were) there", "how many {many} are there"),
    (r"what (?P<kind>[a-z]+ )?(?P<rest>is it|is there|can be seen)", "what {kind}{rest}"),
)  # fmt: skip


def learned_words(words: str) -> str | None:
    """A question in the words that the text decoder was taught (`videomm.training.questions`).

    Args:
        words: of a `Question`.

    Returns:
        Such as `what is the dog doing` for `what are the dogs doing`; None for other forms, which
        it would answer with what comes to its mind.
    """
    words = re.sub(r"\bcolor\b", "colour", words)
    for pattern, form in _LEARNED:
        found = re.fullmatch(pattern, words)
        if found:
            parts = {name: value or "" for name, value in found.groupdict().items()}
            if "noun" in parts:
                parts["noun"] = singular(parts["noun"])
            return form.format(**parts)
    return None


def parse_question(text: str, kinds: dict[str, str] | None = None) -> Question:
    """Understand one English question.

    Case, a missing question mark and "can you tell me" do not matter.

    Args:
        text: the question.
        kinds: words that ask for a kind of candidates, such as `animals` to `animal`.

    Raises:
        InvalidInputError: the text is empty or has no word in it.
    """
    words = _normalise(text)
    if not re.search(r"\w", words):
        raise InvalidInputError(
            f"a question must have words, got {text!r:.60}; ask such as 'when does the cat appear?'"
        )
    known = {**BANK_KINDS, **(kinds or {})}
    words, where = _split_part(words)
    for pattern, build in RULES:
        match = pattern.fullmatch(words)
        if match:
            question = build({key: value or "" for key, value in match.groupdict().items()}, known)
            if question is not None and question.is_whole:
                return replace(question, text=text.strip(), words=words, **where)  # type: ignore[arg-type]
    open_question = Question(text.strip(), Form.OPEN, template="{}", kind="object", words=words)
    return replace(open_question, **where)  # type: ignore[arg-type]


def _normalise(text: str) -> str:
    # Braces stand for the answer in a template, never for themselves.
    plain = re.sub(r"[{}]", " ", text.lower())
    words = " ".join(plain.split()).strip(" ?!.\"'")
    words = _CONTRACTED.sub(r"\1 is", words).replace("whats ", "what is ")
    words = _HEAD.sub("", words)
    while _TAIL.search(words):
        words = _TAIL.sub("", words)
    return words


def _split_part(words: str) -> tuple[str, dict[str, object]]:
    """Cut "... at the end", "... after the cat appears" and "... at 0:12" off."""
    if re.match(rf"{WHEN} ", words):
        # The first or last time that something happens, not the first scene.
        order = re.search(r" (first|last|finally)\b", words)
        if order is None:
            return words, {}
        part = Part.FIRST if order[1] == "first" else Part.LAST
        return words.replace(order[0], "", 1), {"part": part}
    at = _TIME.search(words)
    if at and (at["m"] or at["n"]) and not words.startswith("how many"):
        seconds = 60 * float(at["m"]) + float(at["s"]) if at["m"] else float(at["n"])
        return words[: at.start()], {"part": Part.AT, "seconds": seconds}
    near = _NEAR.search(words)
    event = event_phrase(near[2]) if near else ""
    if near and event:
        return words[: near.start()], {"part": Part(near[1]), "event": event}
    for pattern, part in _ENDS:
        if pattern.search(words) and not words.startswith("how"):
            return pattern.sub("", words), {"part": part}
    return words, {}
