"""Captions and answers as texts, and how likely given ones are."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from videomm.errors import InvalidInputError
from videomm.models.decoder import END, START, DecoderConfig, TextDecoder
from videomm.models.describer import Describer
from videomm.models.generation import GenerationConfig
from videomm.training.caption_data import build_tokenizer

WORDS = ["what is the dog doing", "the dog is running on a road", "a man"]
PLACES = np.random.default_rng(0).normal(size=(4, 3, 6)).astype(np.float16)


@pytest.fixture(scope="module")
def describer() -> Describer:
    tokenizer: Tokenizer = build_tokenizer(WORDS, 1)
    torch.manual_seed(0)
    shape = DecoderConfig(
        tokenizer.get_vocab_size(), 6, width=16, num_layers=2, num_heads=2, max_length=16
    )
    decoder = TextDecoder(shape)
    with torch.no_grad():
        decoder.embedding.weight *= 8  # so that likelihoods differ
    return Describer(decoder, tokenizer, GenerationConfig(beams=3, max_tokens=6), -np.inf, "f")


def test_captions_do_not_depend_on_the_chunk(describer: Describer) -> None:
    captions, likelihoods = describer.caption(PLACES)
    again, same = describer.caption(PLACES, chunk=3)
    assert captions == again
    assert all(captions)
    np.testing.assert_allclose(likelihoods, same, atol=1e-5)
    assert describer.caption(PLACES[:0])[0] == []


def test_answers_in_any_order_and_in_any_number(describer: Describer) -> None:
    questions = ["the dog", "a", "what is the man doing", "a man on a road"]
    together = describer.answer(PLACES, questions)
    alone = [
        describer.answer(PLACES[i : i + 1], [question])[0] for i, question in enumerate(questions)
    ]
    assert together == alone == describer.answer(PLACES, questions, chunk=3)


def test_likelihood_is_that_of_word_after_word(describer: Describer) -> None:
    question, answers = "what is the dog doing", ["running", "a man on the road", "is"]
    given = describer.log_likelihood(PLACES, question, answers)
    ids = {text: describer.tokenizer.encode(text).ids for text in (question, *answers)}
    for row, places in enumerate(PLACES):
        for column, answer in enumerate(answers):
            context = torch.from_numpy(places[None]).float()
            said, total = [*ids[question], START], 0.0
            for token in [*ids[answer], END]:
                memory = describer.decoder.remember(context)
                total += describer.decoder.step(torch.tensor([said]), memory)[0, token].item()
                said.append(token)
            assert given[row, column] == pytest.approx(total, abs=1e-4)


def test_words_that_are_not_known_have_no_likelihood(describer: Describer) -> None:
    given = describer.log_likelihood(PLACES, "what is it", ["a zebra", "", "a dog"])
    assert np.isneginf(given[:, :2]).all()
    assert np.isfinite(given[:, 2]).all()


def test_a_long_question_is_read_from_its_end(describer: Describer) -> None:
    # Of the decoder's 16 tokens a text may need 6, so 10 are left.
    long = "a man " * 20 + "what is the dog doing on a road the man"
    short = ["what", "is", "the", "dog", "doing", "on", "a", "road", "the", "man"]
    assert len(short) == 10
    assert describer.answer(PLACES[:1], [long]) == describer.answer(PLACES[:1], [" ".join(short)])


def test_places_of_another_encoder(describer: Describer) -> None:
    with pytest.raises(InvalidInputError, match=r"context must be \(B, N, 6\)"):
        describer.caption(np.zeros((1, 4, 5), np.float16))
