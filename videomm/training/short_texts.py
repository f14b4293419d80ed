"""Short texts that are right for a captioned picture, as people write labels.

A label is a few words where a caption is a sentence: "a dog running" for "a brown dog runs through
the tall grass with a stick in its mouth".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from videomm.tasks.phrases import indefinite, plural
from videomm.training.questions import read_captions


def short_texts(captions: Sequence[str]) -> list[str]:
    """Things, and things with what they do, where they are, their colour or their number.

    Args:
        captions: of one picture.

    Returns:
        Distinct lower-case texts.
    """
    said = read_captions(captions)
    texts: list[str] = [indefinite(noun) for noun in said.nouns]
    texts += _with(said.doing.items(), "{noun} {word}")
    texts += _with(said.places.items(), "{noun} {word}")
    texts += _with(said.colours.items(), "{word} {noun}")
    for (noun, verb), things in said.objects.items():
        texts += [f"{indefinite(noun)} {verb} {indefinite(thing)}" for thing in things]
    for noun, numbers in said.numbers.items():
        texts += [f"{number} {plural(noun)}" for number in numbers if number != "one"]
    return list(dict.fromkeys(texts))


def _with(said: Iterable[tuple[str, Iterable[str]]], form: str) -> list[str]:
    return [indefinite(form.format(noun=noun, word=word)) for noun, words in said for word in words]
