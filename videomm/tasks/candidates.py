"""What questions with a named kind of answer choose from: `assets/answers.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from videomm.errors import InvalidInputError

ANSWERS_FILE = Path(__file__).parent.parent / "assets" / "answers.txt"
_HEADING = re.compile(r"\[([a-z]+): ([a-z ]+)\]")


@dataclass(frozen=True)
class Candidates:
    """Answers by kind.

    Attributes:
        answers: kind to its candidates, such as `animal` to `a dog`, `a cat` and so on.
        words: word that asks for a kind, such as `animals`, to the kind.
    """

    answers: dict[str, tuple[str, ...]]
    words: dict[str, str]


@cache
def read_candidates(path: Path = ANSWERS_FILE) -> Candidates:
    """Read candidates: `[kind: words that ask for it]`, then one candidate a line.

    Raises:
        InvalidInputError: a heading is malformed, or a line stands before the first one.
    """
    answers: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    kind = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        heading = _HEADING.fullmatch(entry)
        if heading:
            kind = heading[1]
            answers[kind] = []
            words.update(dict.fromkeys(heading[2].split(), kind))
        elif not kind or entry.startswith("["):
            raise InvalidInputError(
                f"{path}, line {number}: {entry!r} is no candidate; expected a heading such as "
                "[animal: animal animals] first"
            )
        else:
            answers[kind].append(entry)
    return Candidates({kind: tuple(items) for kind, items in answers.items()}, words)
