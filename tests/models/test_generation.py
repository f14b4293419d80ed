"""Beam search and sampling against naive code."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videomm.errors import InvalidInputError
from videomm.models.decoder import END, PAD, START, UNKNOWN, DecoderConfig, TextDecoder
from videomm.models.generation import GenerationConfig, beam_search, sample

VOCAB = 7  # three words


def new_decoder(seed: int = 0, vocab: int = VOCAB) -> TextDecoder:
    torch.manual_seed(seed)
    config = DecoderConfig(
        vocab_size=vocab, context_dim=5, width=16, num_layers=2, num_heads=2, max_length=24
    )
    decoder = TextDecoder(config).eval().requires_grad_(False)
    for parameter in decoder.parameters():
        if parameter.ndim > 1:
            parameter.mul_(1.7)
    return decoder


def next_logs(decoder, words, context, prompt=()):
    """Log-probabilities of the token after a start and words, without a memory."""
    ids = torch.tensor([[*prompt, START, *words]])
    return decoder(ids, context[None]).log_softmax(-1)[0, -1].tolist()


def repeats(words) -> bool:
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(triples)) < len(triples)


def choices(words, max_tokens, vocab=VOCAB):
    """What may follow the words."""
    if len(words) == max_tokens - 1:
        return [END]
    allowed = [] if not words else [END]
    return allowed + [w for w in range(END + 1, vocab) if not repeats([*words, w])]


def naive_beam_search(decoder, context, config, prompt=()):
    """One text at a time, kept in lists."""
    live, ended = [(0.0, ())], []
    while live:
        options = []
        for logs, words in live:
            following = next_logs(decoder, words, context, prompt)
            for token in choices(words, config.max_tokens):
                options.append((logs + following[token], (*words, token)))
        options = sorted(options, reverse=True)[: config.beams - len(ended)]
        ended += [(logs, words[:-1]) for logs, words in options if words[-1] == END]
        live = [option for option in options if option[1][-1] != END]
    best = max(ended, key=lambda text: text[0] / (len(text[1]) + 1) ** config.length_penalty)
    return list(best[1]), best[0] / (len(best[1]) + 1)


def words_of(texts, row):
    return [int(word) for word in texts.ids[row] if word != PAD]


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
def test_is_the_naive_beam_search(beams, penalty):
    config = GenerationConfig(beams=beams, length_penalty=penalty, max_tokens=8)
    for seed in range(3):
        decoder = new_decoder(seed)
        contexts = torch.randn(3, 4, 5)
        texts = beam_search(decoder, contexts, config=config)
        for row, context in enumerate(contexts):
            words, log_likelihood = naive_beam_search(decoder, context, config)
            assert words_of(texts, row) == words
            assert texts.log_likelihood[row].item() == pytest.approx(log_likelihood, abs=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_of_all_texts(penalty):
    decoder, context, most = new_decoder(4), torch.randn(1, 4, 5), 5
    found = []
    for length in range(1, most):
        for words in itertools.product(range(END + 1, VOCAB), repeat=length):
            if not repeats(words):
                logs = 0.0
                for i, token in enumerate((*words, END)):
                    logs += next_logs(decoder, words[:i], context[0])[token]
                found.append((logs / (length + 1) ** penalty, list(words)))
    config = GenerationConfig(beams=150, length_penalty=penalty, max_tokens=most)
    texts = beam_search(decoder, context, config=config)
    assert words_of(texts, 0) == max(found)[1]


def test_one_beam_is_greedy():
    decoder, contexts = new_decoder(1, vocab=30), torch.randn(4, 3, 5)
    texts = beam_search(decoder, contexts, config=GenerationConfig(beams=1, max_tokens=12))
    for row, context in enumerate(contexts):
        words: list[int] = []
        while True:
            logs = next_logs(decoder, words, context)
            token = max(choices(words, 12, vocab=30), key=logs.__getitem__)
            if token == END:
                break
            words.append(token)
        assert words_of(texts, row) == words


@settings(max_examples=25)
@given(seed=st.integers(0, 999), beams=st.integers(1, 4))
def test_no_text_is_empty_or_says_three_words_twice(seed, beams):
    decoder, contexts = new_decoder(seed), torch.randn(2, 3, 5)
    config = GenerationConfig(beams=beams, max_tokens=14)
    for texts in (
        beam_search(decoder, contexts, config=config),
        sample(decoder, contexts, seed=seed),
    ):
        for row in range(2):
            words = words_of(texts, row)
            assert words
            assert not repeats(words)
            assert not {UNKNOWN, START, END} & set(words)
            assert (texts.ids[row, len(words) :] == PAD).all()
            assert -math.inf < texts.log_likelihood[row] < 0


def test_mask_and_order_of_a_batch_change_nothing():
    decoder, contexts = new_decoder(2, vocab=30), torch.randn(3, 4, 5)
    padded = torch.cat((contexts, torch.full((3, 2, 5), torch.nan)), dim=1)
    mask = torch.arange(6).expand(3, 6) < 4
    order = torch.tensor([2, 0, 1])
    for generate in (beam_search, lambda *given: sample(*given, seed=3)):
        expected = generate(decoder, contexts)
        masked = generate(decoder, padded, mask)
        assert torch.equal(masked.ids, expected.ids)
        torch.testing.assert_close(masked.log_likelihood, expected.log_likelihood)
        mixed = generate(decoder, contexts[order])
        assert torch.equal(mixed.ids, expected.ids[order])
        alone = generate(decoder, contexts[1:2])
        assert words_of(alone, 0) == words_of(expected, 1)


def test_prompts_of_different_lengths():
    decoder, contexts = new_decoder(3), torch.randn(2, 4, 5)
    prompt = torch.tensor([[PAD, PAD, 5], [4, 6, 5]])
    config = GenerationConfig(beams=2, max_tokens=8)
    texts = beam_search(decoder, contexts, prompt=prompt, config=config)
    for row, asked in enumerate(([5], [4, 6, 5])):
        words, _ = naive_beam_search(decoder, contexts[row], config, asked)
        assert words_of(texts, row) == words


def test_a_seed_gives_the_same_sample_and_another_seed_another():
    decoder, contexts = new_decoder(0, vocab=30), torch.randn(2, 4, 5)
    first = sample(decoder, contexts, seed=1)
    again = sample(decoder, contexts, seed=1)
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.log_likelihood, again.log_likelihood)
    others = [sample(decoder, contexts, seed=seed) for seed in range(2, 6)]
    assert any(words_of(other, 0) != words_of(first, 0) for other in others)


def test_samples_come_as_often_as_they_are_likely():
    decoder, context = new_decoder(5), torch.randn(1, 4, 5)
    firsts = [
        words_of(sample(decoder, context, seed=seed, max_tokens=2), 0)[0] for seed in range(400)
    ]
    likely = torch.tensor(next_logs(decoder, [], context[0]))[END + 1 :].softmax(0)
    shares = torch.tensor([firsts.count(word) / 400 for word in range(END + 1, VOCAB)])
    assert (shares - likely).abs().max() < 0.08


def test_a_cold_sample_is_greedy():
    decoder, contexts = new_decoder(1, vocab=30), torch.randn(3, 4, 5)
    greedy = beam_search(decoder, contexts, config=GenerationConfig(beams=1))
    cold = sample(decoder, contexts, seed=0, temperature=1e-4)
    for row in range(3):
        assert words_of(cold, row) == words_of(greedy, row)
    torch.testing.assert_close(cold.log_likelihood, greedy.log_likelihood)


def test_settings_that_do_not_fit():
    decoder, contexts = new_decoder(), torch.randn(1, 4, 5)
    with pytest.raises(InvalidInputError, match="beams must be at least 1"):
        GenerationConfig(beams=0)
    with pytest.raises(InvalidInputError, match="length_penalty must be a number of at least 0"):
        GenerationConfig(length_penalty=math.nan)
    with pytest.raises(InvalidInputError, match="a prompt of 0 tokens and a text of 25 are longer"):
        beam_search(decoder, contexts, config=GenerationConfig(max_tokens=25))
    with pytest.raises(InvalidInputError, match="temperature must be a number above 0, got 0"):
        sample(decoder, contexts, seed=0, temperature=0.0)
