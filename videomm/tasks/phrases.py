"""Small English: noun phrases, verbs and their -ing forms, as questions need them.

Rules and short word lists, no statistics: "does the man jump over a fence" becomes "a man" and
"jumping over a fence". What the rules get wrong costs accuracy, never an error.
"""

from __future__ import annotations

import re
from functools import cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _words(
    "the a an any some this that these those his her its their my your our another every each no"
)
# Words that stand for a whole noun phrase, and what an encoder is asked for instead.
PRONOUNS = {
    **dict.fromkeys(("someone", "somebody", "anyone", "anybody", "everyone", "one"), "a person"),
    **dict.fromkeys(("who", "they", "you", "we", "i"), "a person"),
    **dict.fromkeys(("something", "anything", "it", "this", "that", "there"), ""),
    "he": "a man",
    "she": "a woman",
}
PREPOSITIONS = _words(
    "in on at over under into onto out of off from to through across along around behind "
    "before after between above below beside besides by near next inside outside toward "
    "towards with without up down against about for and or as past during while"
)
_BEFORE_NOUNS = _words("one this that")
_ADVERBS = _words(
    "first finally again now then currently actually really ever also just suddenly slowly "
    "quickly still already usually"
)
# Verbs in the form that follows "does"; "-s" and "-ing" forms are derived.
_VERBS = _words(
    "add aim answer appear applaud argue arrive ask attack balance bark bathe be beat become "
    "begin bend bite blow boil bounce bow box brake break breathe brew bring brush build burn "
    "burst buy call carry carve catch celebrate change chase chat check cheer chew chop clap "
    "clean clear climb close collapse collide collect come cook cough count crash crawl cross "
    "cry cut cycle dance depart dig dine disappear dive do drag draw dress drift drink drip "
    "drive drop eat end enter erupt escape exercise explode fall feed fetch fight fill film "
    "finish fish fix flip float flow fly fold follow freeze fry get give glide go grab grasp "
    "graze greet grill grow guard hand hang happen have hide hike hit hold hop hug hunt iron "
    "jog juggle jump kick kiss kneel knit knock land laugh launch lay lead leak lean leap "
    "leave lick lie lift light listen load look lose make march measure meet melt mix move "
    "mow occur open operate pack paddle paint park pass pause pay pedal peel pet photograph "
    "pick place plant play point pose pour pray prepare press pull punch push put race rain "
    "raise read relax rest ride ring rise roar roll rotate row rub run sail saw say scream "
    "search sell serve sew shake shave shine shoot shop shout shovel show sing sink sit skate "
    "ski skip sleep slide slip smell smile smoke sneeze snow speak spill spin splash spray "
    "stand stare start steal steer step stir stop stretch strike stroke surf sweep swim swing "
    "take talk tap taste teach tear tell throw tie touch train travel try tumble turn twirl "
    "type unload use vanish vote wag wait wake walk wander wash watch water wave wear weep "
    "weld whisper whistle win wipe work wrestle write yawn yell"
)
_PARTICIPLES = _words(
    "shown seen eaten thrown driven broken built caught cut done drawn fed flown given held "
    "hidden hit hung kept laid left lit lost made met put read ridden said sent shot sold "
    "stolen struck sung swept taken taught told torn worn won written open closed empty full "
    "on visible"
)
# Nouns without an article although they have no plural ending.
_MASS = _words(
    "water snow rain ice fire smoke sand grass food traffic fog hair music mud dust dirt wind "
    "lightning sunlight sky text coffee tea milk beer wine bread rice cheese people children "
    "men women police sheep cattle furniture glass wood fruit money paper sea ocean mist "
    "steam"
)
_IRREGULAR_ING = {"be": "being", "begin": "beginning", "lie": "lying", "tie": "tying"}
_VOWELS = "aeiou"


def gerund(verb: str) -> str:
    """`run` to `running`, `take` to `taking`, `lie` to `lying`."""
    if verb in _IRREGULAR_ING:
        return _IRREGULAR_ING[verb]
    if verb.endswith("ing") and len(verb) > 5:
        return verb
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    # One short vowel before one consonant: the consonant is doubled.
    short = (
        len(verb) >= 3
        and verb[-1] not in _VOWELS + "wxy"
        and verb[-2] in _VOWELS
        and verb[-3] not in _VOWELS
        and sum(letter in _VOWELS for letter in verb) == 1
    )
    return verb + verb[-1] + "ing" if short else verb + "ing"


@cache
def base_verb(word: str) -> str | None:
    """The verb that a word is a form of (`runs`, `running`, `run` give `run`), or None."""
    candidates = [word]
    if word.endswith("ies"):
        candidates.append(word[:-3] + "y")
    candidates += [word[: -len(end)] for end in ("s", "es", "ed", "d") if word.endswith(end)]
    found = next((item for item in candidates if item in _VERBS), None)
    if found is None and word.endswith("ing"):
        return next((verb for verb in _VERBS if gerund(verb) == word), None)
    return found


def indefinite(phrase: str) -> str:
    """`the man in the hat` to `a man in the hat`, as captions speak of things."""
    words = phrase.split()
    if not words:
        return ""
    if phrase in PRONOUNS:
        return PRONOUNS[phrase]
    if words[0] in DETERMINERS:
        words = words[1:]
    if not words:
        return ""
    end = next((i for i, word in enumerate(words) if i and _ends_noun(word)), len(words))
    head = words[end - 1]
    plural = head.endswith("s") and not head.endswith(("ss", "us", "is"))
    if plural or head in _MASS or words[0].isdigit() or words[0] in NUMBERS:
        return " ".join(words)
    article = "an" if words[0][0] in _VOWELS and not words[0].startswith(("uni", "use")) else "a"
    return " ".join([article, *words])


def _ends_noun(word: str) -> bool:
    return word in PREPOSITIONS or is_gerund(word)


def is_gerund(word: str) -> bool:
    """Whether a word is the -ing form of a known verb."""
    return word.endswith("ing") and base_verb(word) is not None


NUMBERS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}


def has_subject(action: str) -> bool:
    """Whether a phrase says who acts: `a dog running` and `cows grazing` do, `running` does not."""
    first = action.split()[0]
    return first in DETERMINERS or (singular(first) != first and base_verb(first) is None)


def singular(noun: str) -> str:
    """The singular of a noun phrase's last word: `two dogs` to `two dog`, `men` to `man`."""
    *rest, last = noun.split() or [""]
    irregular = {"men": "man", "women": "woman", "people": "person", "children": "child"}
    known = {**irregular, "mice": "mouse", "geese": "goose", "leaves": "leaf", "feet": "foot"}
    if last in known:
        last = known[last]
    elif last.endswith("ies") and len(last) > 4:
        last = last[:-3] + "y"
    elif last.endswith(("ches", "shes", "xes", "sses")):
        last = last[:-2]
    elif last.endswith("s") and not last.endswith(("ss", "us", "is")):
        last = last[:-1]
    return " ".join([*rest, last])


def as_sentence(words: str) -> str:
    """Words with a capital in front and a full stop behind: `a dog running` to `A dog running.`"""
    return f"{words[0].upper()}{words[1:]}." if words else ""


def plural(noun: str) -> str:
    """The plural of a noun phrase's last word: `dog` to `dogs`, `man` to `men`."""
    *rest, last = noun.split() or [""]
    irregular = {"man": "men", "woman": "women", "person": "people", "child": "children"}
    if last in irregular:
        last = irregular[last]
    elif last.endswith("y") and last[-2:-1] not in _VOWELS:
        last = last[:-1] + "ies"
    elif last.endswith(("ch", "sh", "x", "ss")):
        last += "es"
    elif not last.endswith("s") and last not in irregular.values():
        last += "s"
    return " ".join([*rest, last])


def split_clause(words: list[str], *, base: bool) -> tuple[list[str], list[str]]:
    """Split a clause into its subject and the rest, at the first verb behind a noun.

    Args:
        words: such as `the red car stop at the light`.
        base: the verb follows "does" and has no ending, so where no known verb is found the last
            word before a preposition is taken for one.

    Returns:
        Subject words and the others; either may be empty.
    """
    words = [word for word in words if word not in _ADVERBS]
    if not words:
        return [], []
    # "one jumps", but "one brown dog jumps".
    following = words[1] if len(words) > 1 else "is"
    stands_alone = following in PREPOSITIONS or following in ("is", "are", "was", "were", "has")
    counts = words[0] in _BEFORE_NOUNS and not stands_alone and not _acts(following, base=base)
    if words[0] in PRONOUNS and not counts:
        return words[:1], words[1:]
    first = 2 if words[0] in DETERMINERS or counts else 1
    for i in range(first, len(words)):
        word = words[i]
        ends = _acts(word, base=base)
        if word in PREPOSITIONS:
            # "does the train (arrive) at ...": with a "does" the word before it is the verb.
            return (
                (words[: i - 1], words[i - 1 :]) if base and i > first else (words[:i], words[i:])
            )
        if ends:
            return words[:i], words[i:]
    if base and len(words) > first:
        return words[:-1], words[-1:]
    if not base and len(words) > 2 and words[0] in DETERMINERS:
        return words[:-1], words[-1:]
    return words, []


def _acts(word: str, *, base: bool) -> bool:
    """Whether a word may be the verb of a clause; behind "does" it has no ending."""
    if base:
        return word in _VERBS
    known = word in _PARTICIPLES or base_verb(word) is not None
    return known or (word.endswith(("ing", "ed")) and len(word) > 4)


def predicate(words: list[str]) -> str:
    """What a subject does, with the verb in its -ing form: `jump over it` to `jumping over it`."""
    if not words:
        return ""
    verb = base_verb(words[0])
    passive = words[0] in _PARTICIPLES or words[0].endswith(("ed", "ing"))
    if passive or words[0] in PREPOSITIONS:
        return " ".join(words)
    return " ".join([gerund(verb or words[0]), *words[1:]])


def content_words(phrase: str) -> frozenset[str]:
    """The words of a phrase that carry its meaning, nouns in the singular."""
    words = (singular(word) for word in phrase.lower().split())
    return frozenset(w for w in words if w not in DETERMINERS and w not in PREPOSITIONS)


def lemmas(phrase: str) -> frozenset[str]:
    """`content_words` with verbs in their base form: `a man riding horses` to man, ride, horse."""
    words = re.findall(r"[a-z'-]+", phrase.lower())
    bases = (base_verb(word) if is_gerund(word) else None for word in words)
    return content_words(" ".join(base or word for base, word in zip(bases, words, strict=True)))
