import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videomm.errors import InvalidInputError
from videomm.tasks.candidates import read_candidates
from videomm.tasks.questions import Form, Part, learned_words, parse_question

WORDS = read_candidates().words


def parse(text):
    return parse_question(text, WORDS)


@pytest.mark.parametrize(
    ("text", "subject", "statement"),
    [
        ("Is there a horse?", "", "a horse"),
        ("is there a horse in the video", "", "a horse"),
        ("IS THERE A HORSE", "", "a horse"),
        ("Are there any dogs?", "", "dogs"),
        ("are there any people dancing?", "people", "people dancing"),
        ("Is there a man talking?", "a man", "a man talking"),
        ("is there a cat on the sofa?", "a cat", "a cat on the sofa"),
        ("Do you see a red car?", "", "a red car"),
        ("can we see an elephant?", "", "an elephant"),
        ("Does a cat appear?", "a cat", "a cat"),
        ("does the man jump over the fence?", "a man", "a man jumping over the fence"),
        ("Is the man wearing a hat?", "a man", "a man wearing a hat"),
        ("is a dog running", "a dog", "a dog running"),
        ("Is someone swimming?", "a person", "a person swimming"),
        ("Is the door open?", "a door", "a door open"),
        ("Is it a cartoon?", "", "a cartoon"),
        ("is it raining", "", "it is raining"),
        ("Has the man a beard?", "a man", "a man with a beard"),
        ("does the woman have glasses", "a woman", "a woman with glasses"),
    ],
)
def test_yes_no(text, subject, statement):
    question = parse(text)
    assert (question.form, question.subject, question.statement) == (
        Form.YES_NO,
        subject,
        statement,
    )


@pytest.mark.parametrize(
    ("text", "subject", "statement"),
    [
        ("When does the cat appear?", "a cat", "a cat"),
        ("when does the cat appear", "a cat", "a cat"),
        ("WHEN DOES THE CAT APPEAR???", "a cat", "a cat"),
        ("Can you tell me when the cat appears?", "a cat", "a cat"),
        ("please tell me when we see an astronaut", "a person", "a person seeing an astronaut"),
        ("When do we see the astronaut?", "an astronaut", "an astronaut"),
        ("when is there a horse", "a horse", "a horse"),
        ("When is the rocket visible?", "a rocket", "a rocket"),
        ("when does the train arrive", "a train", "a train arriving"),
        ("When does someone swim?", "a person", "a person swimming"),
        ("When is the ball kicked?", "a ball", "a ball kicked"),
        ("At what time does the man fall?", "a man", "a man falling"),
        ("when did the car stop at the light", "a car", "a car stopping at the light"),
        ("When is a dog running on the beach?", "a dog", "a dog running on the beach"),
        ("when does the fire engine come into view?", "a fire engine", "a fire engine"),
        ("when does a man rides a horse happen", "", "a man rides a horse"),
    ],
)
def test_when(text, subject, statement):
    question = parse(text)
    assert (question.form, question.subject, question.statement) == (Form.WHEN, subject, statement)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("When does the cat first appear?", Part.FIRST),
        ("when does the cat appear last", Part.LAST),
        ("When does the cat appear?", Part.WHOLE),
    ],
)
def test_when_it_is_the_first_or_last_time(text, part):
    question = parse(text)
    assert (question.form, question.statement, question.part) == (Form.WHEN, "a cat", part)


@pytest.mark.parametrize(
    ("text", "subject", "template", "kind"),
    [
        ("What is the man doing?", "a man", "a man {}", "action"),
        ("what's the cat doing", "a cat", "a cat {}", "action"),
        ("What does the man do?", "a man", "a man {}", "action"),
        ("What is the man holding?", "a man", "a man holding {}", "object"),
        ("WHAT IS THE MAN HOLDING", "a man", "a man holding {}", "object"),
        ("what does the woman eat", "a woman", "a woman eating {}", "food"),
        ("What is the woman wearing?", "a woman", "a woman wearing {}", "clothes"),
        ("What is the dog chasing in this video?", "a dog", "a dog chasing {}", "object"),
        ("What is on the table?", "a table", "{} on a table", "object"),
        ("what lies on the rock", "a rock", "{} on a rock", "object"),
        ("What do you see on the table?", "a table", "{} on a table", "object"),
        ("What is flowing?", "", "{} flowing", "object"),
        ("what falls from the tree", "", "{} falling from the tree", "object"),
        ("What is this?", "", "{}", "object"),
        ("what do you see", "", "{}", "object"),
        ("What animal is it?", "", "{}", "animal"),
        ("What animals are there?", "", "{}", "animal"),
        ("what kind of animal is this", "", "{}", "animal"),
        ("Which instrument is played?", "", "{}", "instrument"),
        ("which sport is being played?", "", "{}", "sport"),
        ("What vehicle is there", "", "{}", "vehicle"),
        ("what objects can you see", "", "{}", "object"),
        ("what animal is the man riding?", "a man", "a man riding {}", "animal"),
        ("What colour is the dog?", "a dog", "{} dog", "colour"),
        ("what color is the red car's roof", "a red car's roof", "{} red car's roof", "colour"),
        ("What colour does the car have?", "a car", "{} car", "colour"),
        ("what is the colour of the car?", "a car", "{} car", "colour"),
        ("What is the weather?", "", "{} weather", "weather"),
        ("what's the weather like?", "", "{} weather", "weather"),
        ("How is the weather?", "", "{} weather", "weather"),
        ("what time of day is it", "", "in the {}", "daytime"),
        ("Which season is it?", "", "in {}", "season"),
        ("Who is this?", "", "{}", "person"),
        ("Who appears?", "", "{}", "person"),
        ("Who is wearing a hat?", "a person", "{} wearing a hat", "person"),
        ("who is the man", "a man", "{}", "person"),
        ("Who talks to the camera?", "a person", "{} talking to the camera", "person"),
        ("Where is the man?", "a man", "a man {}", "scene"),
        ("where is the small dog", "a small dog", "a small dog {}", "scene"),
        ("Where is the cat sleeping?", "a cat", "a cat sleeping {}", "scene"),
        ("where does the man walk", "a man", "a man walking {}", "scene"),
        ("Where is this?", "", "{}", "scene"),
        ("where was this filmed?", "", "{}", "scene"),
    ],
)
def test_pick(text, subject, template, kind):
    question = parse(text)
    assert question.form is Form.PICK
    assert (question.subject, question.template, question.kind) == (subject, template, kind)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("How long is the video?", Form.DURATION),
        ("how long is it", Form.DURATION),
        ("How many seconds does the clip last?", Form.DURATION),
        ("what is the duration of the video", Form.DURATION),
        ("How many scenes are there?", Form.COUNT_SCENES),
        ("how many shots does the film have", Form.COUNT_SCENES),
        ("What happens?", Form.DESCRIBE),
        ("What's happening in the video?", Form.DESCRIBE),
        ("what does the video show", Form.DESCRIBE),
        ("Why is the man sad?", Form.UNANSWERABLE),
        ("How old is the man?", Form.UNANSWERABLE),
        ("how is the cake made", Form.UNANSWERABLE),
        ("a cat on a sofa", Form.OPEN),
        ("wie spät ist es", Form.OPEN),
        ("?¿ cat", Form.OPEN),
    ],
)
def test_other_forms(text, form):
    assert parse(text).form is form


@pytest.mark.parametrize(
    ("text", "form", "statement"),
    [
        ("How long does the cat appear?", Form.HOW_LONG, "a cat"),
        ("how long is the rocket visible", Form.HOW_LONG, "a rocket"),
        ("For how long does the man run?", Form.HOW_LONG, "a man running"),
        ("How many times does the cat appear?", Form.COUNT_TIMES, "a cat"),
        ("how often does the man jump", Form.COUNT_TIMES, "a man jumping"),
        ("How many cats are there?", Form.COUNT, "a cat"),
        ("how many people can you see in the video", Form.COUNT, "a person"),
        ("How many men are in the car?", Form.COUNT, "a man"),
    ],
)
def test_lengths_and_counts(text, form, statement):
    question = parse(text)
    assert (question.form, question.statement) == (form, statement)


@pytest.mark.parametrize(
    ("text", "form", "part", "event", "seconds"),
    [
        ("What happens first?", Form.DESCRIBE, Part.FIRST, "", 0),
        ("what happens last", Form.DESCRIBE, Part.LAST, "", 0),
        ("What happens at the end of the video?", Form.DESCRIBE, Part.LAST, "", 0),
        ("What happens after the cat appears?", Form.DESCRIBE, Part.AFTER, "a cat", 0),
        (
            "what happens right before the man jumps?",
            Form.DESCRIBE,
            Part.BEFORE,
            "a man jumping",
            0,
        ),
        ("What is the man doing at the end?", Form.PICK, Part.LAST, "", 0),
        ("what animal is it at the beginning?", Form.PICK, Part.FIRST, "", 0),
        ("What happens at 0:12?", Form.DESCRIBE, Part.AT, "", 12),
        ("what happens at 1:02.5", Form.DESCRIBE, Part.AT, "", 62.5),
        ("What is the man doing at 7 seconds?", Form.PICK, Part.AT, "", 7),
        ("is there a dog at 7.5 s?", Form.YES_NO, Part.AT, "", 7.5),
    ],
)
def test_parts(text, form, part, event, seconds):
    question = parse(text)
    assert (question.form, question.part) == (form, part)
    assert (question.event, question.seconds) == (event, seconds)


def test_a_question_can_offer_choices():
    assert parse("Is it a cat or a dog?").choices == ("a cat", "a dog")
    assert parse("is it a cat, a dog, or a horse").choices == ("a cat", "a dog", "a horse")


def test_the_text_stays_as_it_was_asked():
    assert parse("  When does the CAT appear? ").text == "When does the CAT appear?"


@pytest.mark.parametrize("text", ["", "  ", "???", "\n"])
def test_a_question_needs_words(text):
    with pytest.raises(InvalidInputError, match="a question must have words"):
        parse(text)


STARTS = ("what", "when", "who", "where", "is there", "does", "how many", "how long", "which", "")
WORDS_OF_QUESTIONS = (
    "the a is are does do cat man on in at first last before after 0:12 doing red or many it "
    "there wearing jumps kind of colour animals ? , ' weather 7 s happen have { }"
)
WORD = st.sampled_from(WORDS_OF_QUESTIONS.split())


@given(st.sampled_from(STARTS), st.lists(WORD, min_size=1, max_size=7))
def test_any_order_of_words_is_a_question_or_has_no_words(start, words):
    text = " ".join([start, *words])
    try:
        question = parse(text)
    except InvalidInputError:
        assert not any(letter.isalnum() for letter in text)
        return
    assert question.template.count("{}") == (question.form in (Form.PICK, Form.OPEN, Form.COUNT))
    if question.form in (Form.WHEN, Form.HOW_LONG, Form.COUNT_TIMES, Form.YES_NO, Form.COUNT):
        assert question.presupposed
    assert parse(text.upper()).form is question.form


@given(st.text(max_size=40))
def test_any_text_is_a_question_or_has_no_words(text):
    if re.search(r"\w", text):
        assert parse(text).text == text.strip()
    else:
        with pytest.raises(InvalidInputError, match="a question must have words"):
            parse(text)


@pytest.mark.parametrize(
    ("asked", "learned"),
    [
        ("What is the man doing at the end?", "what is the man doing"),
        ("what are the small dogs chasing", "what is the small dog chasing"),
        ("What color is the car?", "what colour is the car"),
        ("Where's the girl?", "where is the girl"),
        ("who is swimming?", "who is swimming"),
        ("How many children are there in the video?", "how many children are there"),
        ("What is there?", "what is there"),
        ("What animal can be seen?", "what animal can be seen"),
        ("who is wearing a hat?", None),
        ("what lies on the rock?", None),
        ("What is flowing?", None),
        ("When does the dog jump?", None),
        ("what is the man holding in his hand?", None),
    ],
)
def test_the_words_that_the_decoder_learned(asked, learned):
    assert learned_words(parse(asked).words) == learned
