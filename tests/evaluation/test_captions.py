"""Scores of captions: worked by hand, and against the papers' formulas in naive code."""

from __future__ import annotations

import math
import sys
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videomm.evaluation.captions import caption_words, repeats, score_captions

needs_scorer = pytest.mark.skipif(
    find_spec("pycocoevalcap") is None, reason="pycocoevalcap is not installed"
)

words = st.lists(st.sampled_from("abcde"), min_size=1, max_size=9).map(" ".join)
corpora = st.lists(
    st.tuples(words, st.lists(words, min_size=1, max_size=3)), min_size=2, max_size=5
)


def grams(text: str, n: int) -> Counter[tuple[str, ...]]:
    split = text.split()
    return Counter(tuple(split[i : i + n]) for i in range(len(split) - n + 1))


def naive_bleu(captions: list[str], references: list[list[str]], most: int) -> float:
    """Papineni et al. 2002, section 2.3."""
    logs = 0.0
    for n in range(1, most + 1):
        right = total = 0
        for caption, wanted in zip(captions, references, strict=True):
            for gram, count in grams(caption, n).items():
                right += min(count, max(grams(one, n)[gram] for one in wanted))
                total += count
        if not right:
            return 0.0
        logs += math.log(right / total) / most
    c = sum(len(caption.split()) for caption in captions)
    r = 0
    for caption, wanted in zip(captions, references, strict=True):
        lengths = sorted(len(one.split()) for one in wanted)
        r += min(lengths, key=lambda length: abs(length - len(caption.split())))
    return 100 * math.exp(logs + min(0.0, 1 - r / c))


def naive_cider(captions: list[str], references: list[list[str]]) -> list[float]:
    """Vedantam et al. 2015, equations 1 to 3 and CIDEr-D of section 7."""
    scores = []
    for caption, wanted in zip(captions, references, strict=True):
        score = 0.0
        for n in range(1, 5):

            def vector(text: str, n: int = n) -> dict[tuple[str, ...], float]:
                found = {}
                for gram, count in grams(text, n).items():
                    seen = sum(any(gram in grams(one, n) for one in row) for row in references)
                    found[gram] = count * math.log(len(references) / max(1, seen))
                return found

            for one in wanted:
                c, s = vector(caption), vector(one)
                norm = math.sqrt(sum(v**2 for v in c.values()) * sum(v**2 for v in s.values()))
                if norm:
                    shared = sum(min(c[g], s[g]) * s[g] for g in c if g in s)
                    apart = len(caption.split()) - len(one.split())
                    score += shared / norm * math.exp(-(apart**2) / 72) / len(wanted)
        scores.append(100 * 10 * score / 4)
    return scores


@needs_scorer
@settings(max_examples=60)
@given(corpus=corpora)
def test_are_the_papers_formulas(corpus):
    captions, references = [row[0] for row in corpus], [row[1] for row in corpus]
    scores = score_captions(captions, references)
    for n in range(1, 5):
        expected = naive_bleu(captions, references, n)
        if expected:
            assert scores.bleu[n - 1] == pytest.approx(expected, rel=1e-6)
        else:  # pycocoevalcap takes 0 of 0 for 1e-15 of 1e-9, whose fourth root is 0.03
            assert scores.bleu[n - 1] < 4
    np.testing.assert_allclose(
        scores.cider, naive_cider(captions, references), rtol=1e-6, atol=1e-9
    )


@needs_scorer
def test_bleu_worked_by_hand():
    # Papineni et al. 2002, example 2: "the" is in a reference twice at most.
    references = [["The cat is on the mat.", "There is a cat on the mat."]]
    assert score_captions(["the the the the the the the"], references).bleu[0] == pytest.approx(
        100 * 2 / 7, rel=1e-6
    )
    # 3 of 3 words and 1 of 2 pairs are right; 3 words where 4 are wanted: exp(1 - 4/3).
    scores = score_captions(["a dog runs"], [["dog runs, a cat"]])
    assert scores.bleu[0] == pytest.approx(100 * math.exp(-1 / 3), rel=1e-6)
    assert scores.bleu[1] == pytest.approx(100 * math.exp(-1 / 3) * math.sqrt(1 / 2), rel=1e-6)


@needs_scorer
def test_cider_worked_by_hand():
    # The same caption: each n-gram length that it has gives 1, of four; times 10, in percent.
    same = [["a dog runs"], ["the cat sleeps"]]
    assert score_captions(["a dog runs", "x"], same).cider == pytest.approx([750, 0])
    # A word of all pictures counts for nothing.
    everywhere = [["a dog"], ["a cat"]]
    assert score_captions(["a", "a cat"], everywhere).cider == pytest.approx([0, 500])


def test_words_are_lower_case_without_punctuation():
    text = "The man's \"T-shirt\" - a red, old one - is OK ; 2 girls don't run ."
    expected = "the man 's t-shirt a red old one is ok 2 girls don t run"
    assert " ".join(caption_words(text)) == expected
    assert caption_words("...") == []


def test_repetition_is_of_three_words():
    assert not repeats(caption_words("A man and a man run"))
    assert repeats(caption_words("A man and a man and run"))
    assert not repeats(["a"])


@needs_scorer
def test_repetition_is_a_share_of_captions():
    scores = score_captions(["a man and a man and run", "a dog"], [["a man"], ["a dog"]])
    assert scores.repetition == 0.5


def test_captions_that_cannot_be_scored():
    with pytest.raises(ValueError, match="got 0 captions and 0 lists of references"):
        score_captions([], [])
    with pytest.raises(ValueError, match="got 1 captions and 2 lists"):
        score_captions(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="some of them empty"):
        score_captions(["a", "b"], [["a"], []])


def test_a_missing_scorer_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocoevalcap.bleu.bleu", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pycocoevalcap"):
        score_captions(["a"], [["a"]])
