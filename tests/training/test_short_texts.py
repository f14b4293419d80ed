"""Short texts of captioned pictures."""

from __future__ import annotations

from videomm.training.short_texts import short_texts

CAPTIONS = (
    "A brown dog is catching a red ball in the water .",
    "The brown dog runs through the deep snow .",
    "Two men watch a dog .",
)


def test_things_and_what_is_said_of_them() -> None:
    assert set(short_texts(CAPTIONS)) == {
        "a dog",
        "a ball",
        "water",
        "snow",
        "a man",
        "a dog catching",
        "a dog running",
        "a man watching",
        "a dog in the water",
        "a dog through the snow",
        "a brown dog",
        "a red ball",
        "a dog catching a ball",
        "a man watching a dog",
        "two men",
    }


def test_no_text_twice() -> None:
    texts = short_texts(CAPTIONS + CAPTIONS)
    assert len(texts) == len(set(texts))


def test_captions_about_no_known_thing_have_none() -> None:
    assert short_texts(["Blurred shapes everywhere ."]) == []
    assert short_texts([]) == []
