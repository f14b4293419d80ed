from dataclasses import replace

import numpy as np
import pytest

from tests.tasks.describing import GreyDescriber, grey_thumbnails, with_describer
from tests.tasks.words import film, make_scorer
from videomm.errors import InvalidInputError
from videomm.tasks.answer import answer_timeline, check_choices, check_question

SCENES = ("a dog running grass", "a cat sleeping sofa", "a boat harbour", "a cat jumping roof")


@pytest.fixture
def scorer():
    return make_scorer(logit_scale=40.0)


@pytest.fixture
def ask(scorer):
    def run(question, *choices, scenes=SCENES, **values):
        return answer_timeline(film(scorer, *scenes, **values), question, scorer, choices)

    return run


def spans(answer):
    return sorted((item.start, item.end) for item in answer.evidence)


@pytest.mark.parametrize(
    ("question", "answer", "evidence"),
    [
        ("Is there a dog?", "yes", [(0, 3)]),
        ("is there an elephant?", "no", []),
        ("is the cat sleeping?", "yes", [(3, 6)]),
        ("when does the boat appear", "6.0-9.0 s", [(6, 9)]),
        ("When does the cat appear?", "3.0-6.0 s and 9.0-12.0 s", [(3, 6), (9, 12)]),
        ("When does the cat first appear?", "3.0-6.0 s", [(3, 6)]),
        ("When does the cat appear last?", "9.0-12.0 s", [(9, 12)]),
        ("when does the cat jump?", "9.0-12.0 s", [(9, 12)]),
        ("When does the elephant appear?", None, []),
        ("How long does the cat appear?", "6.0 s", [(3, 6), (9, 12)]),
        ("how long does the elephant appear?", None, []),
        ("How long is the video?", "12.0 s", [(0, 12)]),
        ("How many scenes are there?", "4", [(0, 3), (3, 6), (6, 9), (9, 12)]),
        ("How many times does the cat appear?", "2", [(3, 6), (9, 12)]),
        ("How many times does the elephant appear?", "0", []),
        ("How many elephants are there?", "0", []),
        ("What is the dog doing?", "running", [(0, 3)]),
        ("What is the elephant doing?", None, []),
        ("What is on the sofa?", "a cat", [(3, 6)]),
        ("Where is the boat?", "at a harbour", [(6, 9)]),
    ],
)
def test_answers_and_their_evidence(ask, question, answer, evidence):
    found = ask(question)
    assert found.answer == answer
    assert spans(found) == evidence
    assert found.found is (answer is not None)


@pytest.mark.parametrize(
    ("question", "method"),
    [
        ("Is there a dog?", "yes/no"),
        ("when does the boat appear", "when"),
        ("What is the dog doing?", "pick"),
        ("what happens first", "describe"),
        ("nonsense in, nonsense out", "open"),
        ("why does the cat sleep", "none"),
    ],
)
def test_the_method_says_which_way_it_went(ask, question, method):
    assert ask(question).method == method


def test_counting_within_a_picture_says_that_it_is_a_guess(ask):
    found = ask("How many cats are there?", scenes=("two cats", "two cats"))
    assert found.answer == "2"
    assert any("a guess" in item for item in found.warnings)


def test_forms_that_are_not_understood_are_said_to_be(ask):
    found = ask("a lamp or so", scenes=("a lamp",))
    assert found.answer == "a lamp"
    assert any("not understood" in item for item in found.warnings)
    why = ask("Why is the cat sad?")
    assert (why.answer, why.score) == (None, 0.0)
    assert any("cannot be answered from pictures alone" in item for item in why.warnings)


def test_only_what_the_part_in_question_shows_counts(ask):
    assert ask("is there a cat at the beginning?").answer == "no"
    assert ask("is there a cat at the end?").answer == "yes"
    assert ask("is there a boat at 0:07?").answer == "yes"
    assert ask("is there a boat at 0:01?").answer == "no"
    assert ask("is there a boat after the cat sleeps?").answer == "yes"
    assert ask("is there a boat before the cat sleeps?").answer == "no"
    assert ask("is there a dog before the cat sleeps?").answer == "yes"


def test_parts_that_are_not_there_are_said_to_be(ask):
    late = ask("what happens at 2:00?")
    assert (late.answer, late.warnings[-1]) == (None, "the video ends at 12.0 s")
    never = ask("what happens after the elephant appears?")
    assert (never.answer, never.warnings[-1]) == (None, "'an elephant' was not found")
    first = ask("what happens before the dog runs?")
    assert (first.answer, first.warnings[-1]) == (None, "nothing comes before 'a dog running'")


def test_what_comes_before_a_moment_is_another_scene(scorer):
    timeline = film(scorer, *SCENES)
    rows = timeline.embeddings.copy()
    # The last scene's jump begins a second late.
    rows[18:20] = rows[18] * 0.5 + 0.6 * scorer.model.encoder.encode_text(["a roof"])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    late = replace(timeline, embeddings=rows)
    assert spans(answer_timeline(late, "when does the cat jump?", scorer)) == [(9.5, 12)]
    for question in (
        "is there a boat before the cat jumps?",
        "is there a roof before the cat jumps?",
    ):
        expected = "yes" if "boat" in question else "no"
        assert answer_timeline(late, question, scorer).answer == expected


def test_what_happens_is_told_in_the_banks_words(ask):
    found = ask("what happens first?")
    assert "dog" in found.answer
    assert "running" in found.answer
    assert spans(found) == [(0, 3)]
    assert "boat" in ask("what happens after the cat sleeps?").answer


def test_a_video_of_one_scene_has_a_beginning(ask):
    found = ask("what happens first?", scenes=("a dog running",), seconds=8.0)
    assert spans(found) == [(0, 2)]


def test_choices_become_statements(ask):
    found = ask("What is the cat doing at the end?", "sleeping", "jumping", "cooking")
    assert (found.answer, found.method) == ("jumping", "choices")
    assert [item.answer for item in found.alternatives] == ["sleeping", "cooking"]
    assert spans(found) == [(9, 12)]
    assert ask("what colour is the elephant?", "red", "grey").answer is None
    assert ask("which one?", "a pear", "a boat").answer == "a boat"
    assert ask("Is it a spoon or a boat?").answer == "a boat"
    assert ask("How many cats are there?", "2", "3", scenes=("three cats",)).answer == "3"


def test_yes_and_no_as_choices_are_a_yes_no_question(ask):
    found = ask("Is there a dog?", "Yes", "No")
    assert (found.answer, found.method) == ("yes", "yes/no")


def test_scores_are_shares_and_alternatives_follow(ask):
    found = ask("What is the dog doing?")
    assert 0 < found.score <= 1
    scores = [found.score, *(item.score for item in found.alternatives)]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1 + 1e-6


def test_a_score_under_one_half_stands_with_what_was_not_found(ask):
    found = ask("When does the elephant appear?")
    assert found.score <= 0.5


def test_facts_of_the_video_stay_with_the_answer(ask):
    found = ask("Is there a dog?", warnings=("damaged",), complete=False)
    assert (found.path, found.decoder, found.complete) == ("film.mp4", "pyav", False)
    assert found.model == "fake"
    assert found.warnings[0] == "damaged"
    assert "no calibration for the model fake" in found.warnings[1]
    row = found.to_dict()
    assert row["evidence"] == [{"start": 0.0, "end": 3.0, "score": found.evidence[0].score}]
    assert row["alternatives"] == [{"answer": "no", "score": pytest.approx(1 - found.score)}]


def test_asking_twice_gives_the_same(ask):
    assert ask("What is on the sofa?") == ask("What is on the sofa?")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["cat"], "two or more different texts"),
        (["cat", " "], "two or more different texts"),
        (["cat", "cat "], "two or more different texts"),
        ("cat,dog", "must be a list of texts, got the text 'cat,dog'"),
    ],
)
def test_bad_choices(choices, message):
    with pytest.raises(InvalidInputError, match=message):
        check_choices(choices)


def test_a_question_is_checked_without_a_video():
    check_question("when?", ["a", "b"])
    with pytest.raises(InvalidInputError, match="must have words"):
        check_question("...")
    with pytest.raises(InvalidInputError, match="two or more"):
        check_question("when?", ["a"])


def test_another_encoders_timeline_is_refused(scorer):
    other = make_scorer(name="other")
    with pytest.raises(InvalidInputError, match="made by other@0, this model reads fake@0"):
        answer_timeline(film(other, "a cat"), "is there a cat?", scorer)


# With a decoder


def ask_with(answers, question, captions=(), **values):
    describer = GreyDescriber(captions, answers)
    scorer = with_describer(make_scorer(logit_scale=40.0), describer)
    timeline = film(scorer, *SCENES, **{"thumbnails": grey_thumbnails(60, 90, 120, 150)} | values)
    return answer_timeline(timeline, question, scorer), describer


def test_the_decoder_is_asked_in_its_own_words():
    _, describer = ask_with({"running": -0.1}, "What is the DOG doing at the start?")
    assert describer.asked
    assert set(describer.asked) == {"what is the dog doing"}


def test_the_decoders_own_answer_is_one_of_the_candidates():
    found, _ = ask_with({"running on grass": -0.1}, "What is the dog doing?")
    assert found.answer == "running on grass"
    assert found.method == "pick, decoder"
    assert found.evidence[0].start == 0
    assert "running" in [other.answer for other in found.alternatives]


def test_of_near_candidates_the_one_that_the_decoder_finds_likely_wins():
    plain, _ = ask_with({}, "Where is the cat?", thumbnails=())
    assert plain.answer == "on a sofa"
    found, _ = ask_with({"on a roof": -0.1, "on a sofa": -7.0}, "Where is the cat?")
    assert found.answer == "on a roof"


def test_the_decoder_may_refuse_what_the_encoder_finds_and_the_other_way_round():
    def presence(refusal):
        found, _ = ask_with({"not found": refusal, "running": -1.0}, "What is the dog doing?")
        return found.score

    # With the odds of an answer even nothing changes: the score is that of the encoder's presence.
    assert presence(np.log(0.999)) < presence(np.log(0.5)) < presence(np.log(0.001))


def test_how_many_is_judged_by_the_decoder_too():
    plain, _ = ask_with({}, "How many cats are there?", thumbnails=())
    told, _ = ask_with({"three": -0.01, "one": -5.0}, "How many cats are there?")
    assert plain.answer != "3"
    assert told.answer == "3"


def test_how_many_is_none_only_where_the_decoder_does_not_see_it_either():
    def chance(yes, no):
        found, _ = ask_with({"yes": np.log(yes), "no": np.log(no)}, "How many elephants are there?")
        return found.answer, found.score  # of there being none

    even, seen, unseen = chance(0.5, 0.5), chance(0.9, 0.1), chance(0.1, 0.9)
    assert even[0] == unseen[0] == "0"
    assert unseen[1] > even[1]
    assert seen[0] != "0" or seen[1] < even[1]


def test_who_does_something_may_be_an_animal():
    plain, _ = ask_with({}, "Who is running?", thumbnails=())
    assert plain.answer == "a man"
    found, _ = ask_with({"a dog": -0.1}, "Who is running?")
    assert (found.answer, found.method) == ("a dog", "pick, decoder")
    assert spans(found) == [(0, 3)]


def test_a_closed_list_is_the_encoders_alone():
    found, describer = ask_with({"a horse": -0.1}, "What animal is there?")
    assert (found.answer, found.method) == ("a cat", "pick")
    assert not describer.asked


@pytest.mark.parametrize("refusal", ["not found", "yes", "no"])
def test_what_is_no_answer_to_the_question_is_no_candidate(refusal):
    found, _ = ask_with({refusal: -0.1}, "What is the dog doing?")
    assert found.answer == "running"
    assert refusal not in [other.answer for other in found.alternatives]


def test_without_pictures_the_decoder_is_not_asked():
    found, describer = ask_with({"digging": -0.1}, "What is the dog doing?", thumbnails=())
    assert found.answer == "running"
    assert not describer.asked


def test_what_happens_is_told_in_a_sentence():
    captions = {60: ("a dog running", -1.0), 90: ("a cat sleeping", -1.0)}
    found, _ = ask_with({}, "What happens first?", captions)
    assert found.answer == "A dog running."
    assert (found.evidence[0].start, found.evidence[0].end) == (0, 3)
    unsure, _ = ask_with({}, "What happens first?", {60: ("a dog running", -9.0)})
    assert unsure.answer != "A dog running."
