import pytest

from videomm.errors import InvalidInputError
from videomm.tasks.candidates import read_candidates


def test_every_kind_has_different_answers_and_words_that_ask_for_it():
    found = read_candidates()
    assert found.words["animals"] == "animal"
    assert "a dog" in found.answers["animal"]
    assert set(found.words.values()) == set(found.answers)
    for kind, answers in found.answers.items():
        assert len(set(answers)) == len(answers) >= 4, kind


def test_a_line_before_the_first_heading_is_an_error(tmp_path):
    file = tmp_path / "answers.txt"
    file.write_text("# note\n\na dog\n")
    with pytest.raises(InvalidInputError, match="line 3: 'a dog' is no candidate"):
        read_candidates(file)
    file.write_text("[animal]\na dog\n")
    with pytest.raises(InvalidInputError, match="expected a heading such as"):
        read_candidates(file)
