import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.tasks.phrases import (
    base_verb,
    content_words,
    gerund,
    indefinite,
    plural,
    predicate,
    singular,
    split_clause,
)

REGULAR = ["dog", "car", "box", "church", "baby", "toy", "glass", "man", "woman", "person", "child"]


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("run", "running"),
        ("take", "taking"),
        ("see", "seeing"),
        ("lie", "lying"),
        ("play", "playing"),
        ("fix", "fixing"),
        ("open", "opening"),
        ("begin", "beginning"),
        ("eat", "eating"),
        ("running", "running"),
    ],
)
def test_gerund(verb, expected):
    assert gerund(verb) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [("runs", "run"), ("running", "run"), ("cries", "cry"), ("passes", "pass"), ("table", None)],
)
def test_base_verb(word, expected):
    assert base_verb(word) == expected


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("the man", "a man"),
        ("the old man in the hat", "an old man in the hat"),
        ("elephant", "an elephant"),
        ("the unicorn", "a unicorn"),
        ("the dogs", "dogs"),
        ("any people dancing", "people dancing"),
        ("the snow", "snow"),
        ("two men", "two men"),
        ("the glass", "glass"),
        ("the bus", "a bus"),
        ("someone", "a person"),
        ("it", ""),
        ("the", ""),
        ("", ""),
    ],
)
def test_indefinite(phrase, expected):
    assert indefinite(phrase) == expected


@pytest.mark.parametrize(
    ("clause", "base", "subject", "rest"),
    [
        ("the man jump over the fence", True, "the man", "jump over the fence"),
        ("the train arrive", True, "the train", "arrive"),
        ("the train arrive at the station", True, "the train", "arrive at the station"),
        ("the drone hover above it", True, "the drone", "hover above it"),
        ("someone swim", True, "someone", "swim"),
        ("the cat first sleep", True, "the cat", "sleep"),
        ("the ball kicked", False, "the ball", "kicked"),
        ("a dog running on grass", False, "a dog", "running on grass"),
        ("the bird in the tree", False, "the bird", "in the tree"),
        ("the man sad", False, "the man", "sad"),
        ("one brown and one black dog in grass", False, "one brown", "and one black dog in grass"),
        ("one jumps over the fence", False, "one", "jumps over the fence"),
        ("this dog runs", False, "this dog", "runs"),
        ("this is red", False, "this", "is red"),
        ("that appear", True, "that", "appear"),
        ("dog", True, "dog", ""),
        ("", True, "", ""),
    ],
)
def test_split_clause(clause, base, subject, rest):
    found = split_clause(clause.split(), base=base)
    assert tuple(" ".join(part) for part in found) == (subject, rest)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("jump over it", "jumping over it"),
        ("jumps", "jumping"),
        ("kicked by a man", "kicked by a man"),
        ("in the tree", "in the tree"),
        ("", ""),
    ],
)
def test_predicate(rest, expected):
    assert predicate(rest.split()) == expected


@given(st.sampled_from(REGULAR))
def test_singular_undoes_plural(noun):
    assert singular(plural(noun)) == noun
    assert plural(plural(noun)) == plural(noun)


def test_content_words_are_nouns_and_verbs():
    assert content_words("Two dogs on the sofa") == {"two", "dog", "sofa"}
