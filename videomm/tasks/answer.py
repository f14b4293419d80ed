"""Questions about a video, answered from its timeline alone: no training, always with evidence.

A question becomes phrases (`questions.py`), phrases are looked for (`presence.py`). What a question
presupposes is looked for first: "what colour is the dog?" has no answer where no dog is found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from videomm.errors import InvalidInputError
from videomm.tasks.asked import ask, weighed
from videomm.tasks.candidates import read_candidates
from videomm.tasks.captions import caption_part
from videomm.tasks.colours import COLOURS, standing_out
from videomm.tasks.commonness import read_commonness
from videomm.tasks.concepts import describe, join_words
from videomm.tasks.phrases import (
    NUMBERS,
    content_words,
    has_subject,
    indefinite,
    singular,
)
from videomm.tasks.presence import PhraseScorer, Presence, View
from videomm.tasks.questions import NOT_FOUND, Form, Part, Question, learned_words, parse_question
from videomm.types import Alternative, Answer, Array, Segment, Timeline

# More alternatives or segments than anyone reads are left out.
MOST_ALTERNATIVES = 5
MOST_EVIDENCE = 8
# The bank's best entries that are scored once more, in the words of the question.
_SHORTLIST = 24
_COUNTS = ("one", "two", "three", "four", "many")
# Kinds whose own name can be seen: an animal can, a colour or the weather cannot.
_UNSEEN_KINDS = frozenset(("colour", "weather", "season", "daytime"))
_SEEN_KINDS = frozenset(read_candidates().answers) - _UNSEEN_KINDS
_SECTIONS = {"object": "objects", "scene": "scenes", "action": "actions"}

NOT_UNDERSTOOD = (
    "this form of question is not understood; the answer names what is seen most clearly. Ask "
    "with is there, what, who, where, when, how long or how many, or give choices"
)
UNANSWERABLE = (
    "questions of this form cannot be answered from pictures alone; ask with is there, what, who, "
    "where, when, how long or how many, or give choices"
)
# All 299 cuts found in compositions of real pictures were cuts (benchmarks/scenes.py), which by
# Laplace's rule of succession makes the next one a cut with a probability of 300 in 301.
_CUT_PRECISION = 300 / 301
# Of four weights the likeliest on 151 captioned val pictures (benchmarks/answers.py --calibrate).
_COLOUR_WEIGHT = 1.0
# From 1 to 4 as many answers to questions about val pictures are right; the least of these trusts
# most in the encoder, which has seen more kinds of pictures.
_DECODER_WEIGHT = 1.0
# What it is asked about, where somebody or something is named. What is there at all the encoder
# tells better: of val pictures with animals 83 % are named right without the decoder and 52 % with
# it, of a thousand classes that it never saw 22 and 7 %.
_ASKED_KINDS = frozenset((*_SECTIONS, "colour", "person"))
# Kinds of questions to which it has learned to say that; how much its odds count beside those of
# the encoder, as a power: of val questions with as many absent as present things 85 % of the
# absent ones are refused, and 88 instead of 77 % of the present ones found.
_REFUSED_KINDS = frozenset(("action", "scene", "colour"))
_REFUSAL_WEIGHT = 0.25
# The same of its yes and no to "is there a dog": 70 % of absent things are refused with it and
# without, and 9 instead of 23 % of those that val questions ask the number of.
_THERE_WEIGHT = 0.5
COUNT_IS_A_GUESS = "counting things within a picture is a guess of the encoder"


@dataclass(frozen=True)
class Finding:
    """An answer before it is put together with the facts of its video.

    Attributes:
        answer, score, evidence, alternatives: as in `Answer`.
        warnings: of this answer alone.
    """

    answer: str | None
    score: float
    evidence: Sequence[Segment] = ()
    alternatives: Sequence[tuple[str, float]] = ()
    warnings: tuple[str, ...] = ()


def answer_timeline(
    timeline: Timeline,
    question: str,
    scorer: PhraseScorer,
    choices: Sequence[str] = (),
) -> Answer:
    """Answer one question about a video.

    Args:
        timeline: made by the scorer's encoder.
        question: in English.
        scorer: measures phrases; one serves many videos and questions.
        choices: the answers to choose from, where they are known.

    Returns:
        The answer with its evidence; `answer.answer` is None where what the question is about was
        not found, or its form cannot be answered, which a warning then says.

    Raises:
        InvalidInputError: no words in the question, or choices that are empty or fewer than two.
    """
    parsed = parse_question(question, read_candidates().words)
    offered = check_choices(choices) or parsed.choices
    view: View | None = None
    method = "choices" if offered and not _says_yes_or_no(parsed, offered) else parsed.form.value
    if parsed.form is Form.UNANSWERABLE and not offered:
        finding = Finding(None, 0.0, warnings=(UNANSWERABLE,))
    else:
        view = View(timeline, scorer)
        view, missing = _limit(view, parsed)
        if missing is not None:
            finding = missing
        elif method == "choices":
            finding = _choose(view, parsed, offered)
        else:
            finding = _ANSWERS[parsed.form](view, parsed)
    extra = view.warnings if view is not None else ()
    if view is not None and view.described:
        method += ", decoder"
    return Answer(
        path=timeline.path,
        question=parsed.text,
        answer=finding.answer,
        score=min(max(float(finding.score), 0.0), 1.0),
        method=method,
        evidence=tuple(finding.evidence)[:MOST_EVIDENCE],
        alternatives=tuple(Alternative(text, float(score)) for text, score in finding.alternatives)[
            :MOST_ALTERNATIVES
        ],
        model=scorer.model.name,
        decoder=timeline.decoder,
        complete=timeline.complete,
        warnings=tuple(dict.fromkeys([*timeline.warnings, *extra, *finding.warnings])),
        sampling=timeline.plan,
        duration=timeline.duration,
    )


def check_question(question: str, choices: Sequence[str] = ()) -> None:
    """Say what is wrong with a question before any video is looked at.

    Raises:
        InvalidInputError: no words in the question, or choices that are empty or fewer than two.
    """
    parse_question(question)
    check_choices(choices)


def check_choices(choices: Sequence[str]) -> tuple[str, ...]:
    """Choices without outer blanks, or an error that says what is wrong with them."""
    if isinstance(choices, str):
        raise InvalidInputError(f"choices must be a list of texts, got the text {choices!r:.60}")
    names = tuple(choice.strip() for choice in choices)
    if not names:
        return ()
    if len(names) < 2 or not all(names) or len(set(names)) < len(names):
        raise InvalidInputError(
            f"choices must be two or more different texts, got {list(choices)!r:.120}"
        )
    return names


def _says_yes_or_no(question: Question, offered: Sequence[str]) -> bool:
    return question.form is Form.YES_NO and {item.lower() for item in offered} == {"yes", "no"}


def _limit(view: View, question: Question) -> tuple[View, Finding | None]:
    """The view of the part that a question is about, or why there is none."""
    part = question.part
    if part is Part.WHOLE or question.form is Form.WHEN:
        return view, None
    scenes = view.scenes
    if len(scenes) == 1:
        # Without cuts the first and the last quarter stand for the ends.
        quarter = max(1, len(view.timeline) // 4)
        ends = (0, quarter), (len(view.timeline) - quarter, len(view.timeline))
    else:
        ends = scenes[0], scenes[-1]
    if part in (Part.FIRST, Part.LAST):
        return view.limited_to(*ends[part is Part.LAST]), None
    if part is Part.AT:
        if question.seconds > view.timeline.duration:
            ending = f"the video ends at {view.timeline.duration:.1f} s"
            return view, Finding(None, 0.0, warnings=(ending,))
        frame = int(np.searchsorted(view.timeline.bounds, question.seconds, side="right")) - 1
        frame = min(max(frame, 0), len(view.timeline) - 1)
        return view.limited_to(frame, frame + 1), None
    event = view.presence([question.event])
    if not event.present:
        return view, _absent(event, warnings=(f"{question.event!r} was not found",))
    inside = np.flatnonzero(view.frames_in(event.segments[0]))
    begin, end = _whole_scenes(int(inside[0]), int(inside[-1]) + 1, scenes)
    edge = begin if part is Part.BEFORE else end
    near = [
        (
            max(first, 0 if part is Part.BEFORE else edge),
            min(last, edge) if part is Part.BEFORE else last,
        )
        for first, last in scenes
    ]
    near = [(first, last) for first, last in near if first < last]
    if not near:
        nothing = f"nothing comes {part.value} {question.event!r}"
        return view, Finding(None, 0.0, event.segments, warnings=(nothing,))
    return view.limited_to(*(near[-1] if part is Part.BEFORE else near[0])), None


def _whole_scenes(begin: int, end: int, scenes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The frames of a moment, widened to the ends of the scenes of which it is half or more.

    A moment hardly ever has all frames of its scene; what comes before it is another scene.
    """
    for first, last in scenes:
        shared = min(end, last) - max(begin, first)
        if 2 * shared >= last - first:
            begin, end = min(begin, first), max(end, last)
    return begin, end


def _absent(
    found: Presence,
    alternatives: Sequence[tuple[str, float]] = (),
    warnings: tuple[str, ...] = (),
) -> Finding:
    """Not found; no evidence, since nothing rests on anything."""
    return Finding(None, min(found.probability, 0.5), (), alternatives, warnings)


def _yes_no(view: View, question: Question) -> Finding:
    found = view.presence(question.presupposed)
    if found.present:
        other = [("no", 1 - found.probability)]
        return Finding("yes", found.probability, found.segments, other)
    return Finding("no", 1 - found.probability, (), [("yes", found.probability)])


def _when(view: View, question: Question) -> Finding:
    found = view.presence(question.presupposed)
    if not found.present:
        return _absent(found)
    segments = found.segments
    if question.part in (Part.FIRST, Part.LAST):
        chosen = min if question.part is Part.FIRST else max
        segments = (chosen(segments, key=lambda item: item.start),)
    spans = [_span(item) for item in sorted(segments[:3], key=lambda item: item.start)]
    return Finding(join_words(spans), found.probability, segments)


def _span(segment: Segment) -> str:
    return f"{segment.start:.1f}-{segment.end:.1f} s"


def _how_long(view: View, question: Question) -> Finding:
    found = view.presence(question.presupposed)
    if not found.present:
        return _absent(found)
    total = sum(item.end - item.start for item in found.segments)
    return Finding(f"{total:.1f} s", found.probability, found.segments)


def _duration(view: View, question: Question) -> Finding:
    whole = view.span(0, len(view.timeline), 1.0)
    return Finding(f"{view.timeline.duration:.1f} s", 1.0, (whole,))


def _count_scenes(view: View, question: Question) -> Finding:
    scenes = [view.span(first, last, 1.0) for first, last in view.scenes]
    return Finding(str(len(scenes)), _CUT_PRECISION ** (len(scenes) - 1), scenes)


def _count_times(view: View, question: Question) -> Finding:
    found = view.presence(question.presupposed)
    if not found.present:
        return Finding("0", 1 - found.probability)
    return Finding(str(len(found.segments)), found.probability, found.segments)


def _count(view: View, question: Question) -> Finding:
    found = view.presence(question.presupposed)
    there = ask(view, f"is there {question.statement}", _focus(view, found))
    if there:
        yes, no = there.log_likelihood(("yes", "no"))
        found = weighed(found, yes - no, _THERE_WEIGHT)
    if not found.present:
        return Finding("0", 1 - found.probability)
    one = f"one {singular(question.template.format('').strip())}"
    phrases = [one, *(question.template.format(word) for word in _COUNTS[1:])]
    names = [str(NUMBERS.get(word, "more than 4")) for word in _COUNTS]
    # Of "many" the decoder says a number.
    asked = ask(view, learned_words(question.words), _focus(view, found))
    told = asked.log_likelihood((*_COUNTS[:-1], "five")) if asked else 0.0
    evidence = _DECODER_WEIGHT * told
    finding = _best_of(view, names, phrases, found, evidence)
    return replace(finding, evidence=found.segments, warnings=(COUNT_IS_A_GUESS,))


def _pick(view: View, question: Question) -> Finding:
    found = _presupposed(view, question) if question.presupposed else None
    if found is not None and not found.present:
        return _absent(found)
    focus = _focus(view, found)
    names = _candidates(view, question, focus)
    names, told = _ask_decoder(view, question, focus, names)
    phrases = [question.template.format(name) for name in names]
    evidence = told + _evidence(view, question, focus, names)
    finding = _best_of(view, names, phrases, found, evidence)
    assert finding.answer is not None
    best = question.template.format(finding.answer)
    if found is not None:
        subject = finding.answer if question.kind == "person" else question.presupposed[0]
        shown = view.presence(list(dict.fromkeys((subject, best))))
        return replace(finding, evidence=shown.segments)
    # Nothing is presupposed, so the answer itself must be there, and its kind where that is known.
    kind = indefinite(question.kind) if question.kind in _SEEN_KINDS else ""
    found = view.presence([kind, best] if kind else [best])
    if not found.present:
        return _absent(found, [(finding.answer, finding.score), *finding.alternatives])
    alternatives = [(text, score * found.probability) for text, score in finding.alternatives]
    score = finding.score * found.probability
    return Finding(finding.answer, score, found.segments, alternatives)


def _presupposed(view: View, question: Question) -> Presence:
    """The presence of what a question presupposes, in which the decoder has a say.

    It is asked the question where the encoder finds that best, and how likely it refuses to answer
    counts beside the encoder's own probability. "Who is running" may be a dog: whom the decoder
    names is looked for beside a person.
    """
    found = view.presence(question.presupposed)
    words = learned_words(question.words)
    if question.kind == "person":
        asked = ask(view, words, view.part)
        names = dict.fromkeys(asked.own_answers()) if asked else ()
        others = [view.presence([name, question.template.format(name)]) for name in names]
        return max([found, *others], key=lambda one: one.probability)
    if question.kind not in _REFUSED_KINDS or not question.subject:
        return found
    asked = ask(view, words, _focus(view, found))
    if asked is None:
        return found
    (refusal,) = asked.log_likelihood([NOT_FOUND])
    return weighed(found, math.log1p(-math.exp(min(refusal, -1e-6))) - refusal, _REFUSAL_WEIGHT)


def _open(view: View, question: Question) -> Finding:
    return replace(_pick(view, question), warnings=(NOT_UNDERSTOOD,))


def _choose(view: View, question: Question, offered: Sequence[str]) -> Finding:
    found = view.presence(question.presupposed) if question.presupposed else None
    if found is not None and not found.present and question.form is not Form.YES_NO:
        return _absent(found)
    template = question.template or f"{question.statement} {{}}".strip()
    words = {str(number): word for word, number in NUMBERS.items()}
    phrases = {item: template.format(words.get(item, item)) for item in offered}
    finding = _best_of(view, offered, list(phrases.values()), found)
    assert finding.answer is not None
    shown = view.presence([*question.presupposed[:1], phrases[finding.answer]])
    return replace(finding, evidence=shown.segments)


def _best_of(
    view: View,
    names: Sequence[str],
    phrases: Sequence[str],
    found: Presence | None,
    evidence: Array | float = 0.0,
) -> Finding:
    """The candidate whose phrase is nearest to the frames that show what is presupposed.

    Scores are a softmax over the phrases, times the probability of what is presupposed; other
    evidence for the phrases (P,) is added to the logits.
    """
    sims = view.centred(_focus(view, found), view.scorer.vectors(phrases))
    logits = sims.astype(np.float64) * view.scorer.model.encoder.logit_scale + evidence
    weights = np.exp(logits - logits.max())
    shares = weights / weights.sum() * (1.0 if found is None else found.probability)
    order = np.argsort(-shares, kind="stable")
    (answer, score), *others = [(names[i], float(shares[i])) for i in order]
    return Finding(answer, score, (), others)


def _describe(view: View, question: Question) -> Finding:
    told = caption_part(view)
    if told is not None:
        sentence, found = told
        return Finding(sentence, found.probability, found.segments)
    pooled = view.pooled(view.part)
    (concepts,) = view.scorer.bank.say(pooled)
    frames = np.flatnonzero(view.part)
    if not concepts:
        return Finding(None, 0.0, warnings=("nothing was recognised with confidence",))
    vectors = view.scorer.vectors([concepts[0].text])
    peak = view.scorer.similarities(view.frames[view.part], vectors).max(axis=0)
    score = float(view.judge(peak)[0])
    segment = view.span(int(frames[0]), int(frames[-1]) + 1, score)
    return Finding(describe(concepts), score, (segment,))


_ANSWERS: dict[Form, Callable[[View, Question], Finding]] = {
    Form.YES_NO: _yes_no,
    Form.WHEN: _when,
    Form.HOW_LONG: _how_long,
    Form.DURATION: _duration,
    Form.COUNT_SCENES: _count_scenes,
    Form.COUNT_TIMES: _count_times,
    Form.COUNT: _count,
    Form.PICK: _pick,
    Form.DESCRIBE: _describe,
    Form.OPEN: _open,
}


def _focus(view: View, found: Presence | None) -> Array:
    """The frames to look at for an answer, bool (N,): all those that show what is presupposed."""
    if found is None or not found.segments:
        return view.part
    shown = [view.frames_in(segment) for segment in found.segments]
    return np.logical_or.reduce(shown) & view.part


def _candidates(view: View, question: Question, focus: Array) -> list[str]:
    """Answers to choose from: a list of their own, or the best of a section of the bank."""
    if question.kind not in _SECTIONS:
        return list(read_candidates().answers[question.kind])
    bank = view.scorer.bank
    asked = content_words(f"{question.subject} {question.statement}")
    people = {word for item in read_candidates().answers["person"] for word in content_words(item)}
    stated = question.template != "{}"
    allowed = []
    for i, entry in enumerate(bank.bank.entries):
        section, words = bank.bank.sections[i], content_words(entry)
        # The question has the subject already; "a dog running" would be a second one.
        unfit = stated and (words & people if section == "objects" else has_subject(entry))
        if section == _SECTIONS[question.kind] and not words & asked and not unfit:
            allowed.append(i)
    names = [bank.bank.entries[i] for i in allowed]
    logits = view.centred(focus, bank.vectors[allowed]) * view.scorer.model.encoder.logit_scale
    best = np.argsort(-logits - _evidence(view, question, focus, names), kind="stable")
    return [names[i] for i in best[:_SHORTLIST]]


def _evidence(view: View, question: Question, focus: Array, names: Sequence[str]) -> Array:
    """What speaks for each name (L,) beside encoder and decoder, for the logits.

    For colours those are the pixels, else what is known before looking. Captions tell what people
    do and where; that most animals in them are dogs tells nothing about the animal of another
    video, so of what is just there nothing is known.
    """
    none, thumbnails = np.zeros(len(names)), view.timeline.thumbnails
    if question.kind == "colour" and thumbnails:
        shown = standing_out([thumbnails[i] for i in np.flatnonzero(focus)])
        seen = dict(zip(COLOURS, _COLOUR_WEIGHT * shown, strict=True))
        return np.array([seen.get(name, 0.0) for name in names])
    if question.template == "{}" or question.kind in _UNSEEN_KINDS:
        return none
    return read_commonness().log_prior(names, question.subject)


def _ask_decoder(
    view: View, question: Question, focus: Array, names: list[str]
) -> tuple[list[str], Array]:
    """The names with the decoder's own answers among them, and how likely it finds each (L,)."""
    named = question.kind in _ASKED_KINDS and question.template != "{}"
    asked = ask(view, learned_words(question.words), focus) if named else None
    if asked is None:
        return names, np.zeros(len(names))
    names = list(dict.fromkeys([*names, *asked.own_answers()]))
    return names, _DECODER_WEIGHT * asked.log_likelihood(names)
