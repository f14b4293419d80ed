"""Texts out of a TextDecoder: the likeliest, by beam search, or a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from videomm.config import Config
from videomm.errors import InvalidInputError
from videomm.models.decoder import END, PAD, START, UNKNOWN, Memory, TextDecoder


@dataclass(frozen=True)
class GenerationConfig(Config):
    """How texts are searched for.

    Attributes:
        beams: texts that are followed at once; 1 is greedy.
        length_penalty: a text's log-likelihood is divided by its number of tokens to this power
            (Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7, has a similar one); 0
            favours short texts, 1 is the mean of its tokens.
        max_tokens: of a text, its end included, its start and prompt not.
    """

    beams: int = 4
    length_penalty: float = 0.3
    max_tokens: int = 24

    def __post_init__(self) -> None:
        if self.beams < 1 or self.max_tokens < 2:
            raise InvalidInputError(
                "beams must be at least 1 and max_tokens at least 2, got "
                f"beams={self.beams}, max_tokens={self.max_tokens}"
            )
        if not (math.isfinite(self.length_penalty) and self.length_penalty >= 0):
            raise InvalidInputError(
                f"length_penalty must be a number of at least 0, got {self.length_penalty}"
            )


@dataclass(frozen=True)
class Texts:
    """Texts that were found.

    Attributes:
        ids: int64 (B, L), without prompt, start and end; padded on the right.
        log_likelihood: float32 (B,), the mean over a text's tokens, its end included, as the
            decoder itself has it.
    """

    ids: Tensor
    log_likelihood: Tensor


@torch.inference_mode()
def beam_search(
    decoder: TextDecoder,
    context: Tensor,
    mask: Tensor | None = None,
    prompt: Tensor | None = None,
    config: GenerationConfig | None = None,
) -> Texts:
    """The likeliest text about each context that beam search finds.

    A text that ends leaves its beam's place empty (Xu et al. 2015, Show, Attend and Tell, do so
    too), and the best of those that ended wins. No text is empty, has an unknown word, or the same
    three tokens in a row twice (Paulus et al. 2017, https://arxiv.org/abs/1705.04304, section 2.5);
    one of `max_tokens` ends there.

    Args:
        decoder: in eval mode.
        context: float (B, N, C).
        mask: bool (B, N), True for tokens of the context; None where nothing is padded.
        prompt: int64 (B, P) ids before the start, padded on the left; None where there is none.
        config: how to search.

    Raises:
        InvalidInputError: shapes do not fit, or prompt and text together may be too long.
    """
    config = config or GenerationConfig()
    number, beams = len(context), config.beams
    memory, logs = _begin(decoder, context, mask, prompt, config.max_tokens)
    first_row = beams * torch.arange(number, device=context.device)[:, None]
    rows = torch.arange(number, device=context.device).repeat_interleave(beams)
    memory.select(rows)
    logs = logs[rows]
    # All beams are alike at first, so one alone may go on.
    sums = logs.new_full((number, beams), -math.inf)
    sums[:, 0] = 0.0
    words = torch.zeros((number, beams, 0), dtype=torch.long, device=context.device)
    places = torch.full((number, 1), beams, device=context.device)
    best = Texts(words.new_full((number, config.max_tokens), PAD), logs.new_zeros(number))
    scores = logs.new_full((number,), -math.inf)
    for length in range(1, config.max_tokens + 1):
        allowed = _allow(logs, words.flatten(0, 1), last=length == config.max_tokens)
        sums, choice = (sums[..., None] + allowed.view(number, beams, -1)).flatten(1).topk(beams)
        sums[torch.arange(beams, device=sums.device) >= places] = -math.inf
        beam, token = choice // logs.shape[1], choice % logs.shape[1]
        words = words.gather(1, beam[..., None].expand_as(words))
        ends = (token == END) & sums.isfinite()
        ended, place = sums.masked_fill(~ends, -math.inf).max(1)
        score = ended / length**config.length_penalty
        better = score > scores
        scores[better] = score[better]
        best.log_likelihood[better] = ended[better] / length
        best.ids[better] = PAD
        best.ids[better, : length - 1] = words[better, place[better]]
        places -= ends.sum(1, keepdim=True)
        sums[ends] = -math.inf
        # The most that a text could come to, were all its further tokens certain.
        if bool((sums.amax(1) / config.max_tokens**config.length_penalty <= scores).all()):
            break
        words = torch.cat((words, token[..., None]), dim=2)
        memory.select((first_row + beam).flatten())
        logs = decoder.step(token.view(-1, 1), memory)
    return best


@torch.inference_mode()
def sample(
    decoder: TextDecoder,
    context: Tensor,
    mask: Tensor | None = None,
    prompt: Tensor | None = None,
    *,
    seed: int,
    temperature: float = 1.0,
    max_tokens: int = 24,
) -> Texts:
    """A random text about each context, of the decoder's own distribution.

    A text depends on its context and the seed, not on the others in the batch; what `beam_search`
    rules out is ruled out here.

    Args:
        decoder: in eval mode.
        context: float (B, N, C).
        mask: bool (B, N), True for tokens of the context; None where nothing is padded.
        prompt: int64 (B, P) ids before the start, padded on the left; None where there is none.
        seed: the same gives the same texts.
        temperature: above 0; below 1 likely tokens become likelier.
        max_tokens: of a text, its end included.

    Raises:
        InvalidInputError: as for `beam_search`, or the temperature is not above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise InvalidInputError(f"temperature must be a number above 0, got {temperature}")
    memory, logs = _begin(decoder, context, mask, prompt, max_tokens)
    draws = torch.rand(max_tokens, generator=torch.Generator().manual_seed(seed)).tolist()
    words = torch.zeros((len(context), 0), dtype=torch.long, device=context.device)
    sums, lengths = logs.new_zeros(len(context)), words.new_zeros(len(context))
    for length, draw in enumerate(draws, start=1):
        allowed = _allow(logs, words, last=length == max_tokens)
        # In order of likelihood, so that a little noise in it hardly ever changes the draw.
        ordered, tokens = (allowed / temperature).sort(dim=1, descending=True, stable=True)
        mass = ordered.double().softmax(1).cumsum(1)
        place = (mass <= draw * mass[:, -1:]).sum(1, keepdim=True)
        token = tokens.gather(1, place)
        going = (lengths == 0)[:, None]
        sums += (logs.gather(1, token) * going)[:, 0]
        lengths[((token == END) & going)[:, 0]] = length
        words = torch.cat((words, token.masked_fill(~going | (token == END), PAD)), dim=1)
        if bool((lengths > 0).all()):
            break
        logs = decoder.step(token, memory)
    return Texts(words, sums / lengths)


def _begin(
    decoder: TextDecoder,
    context: Tensor,
    mask: Tensor | None,
    prompt: Tensor | None,
    max_tokens: int,
) -> tuple[Memory, Tensor]:
    """The memory after prompt and start, and the log-probabilities (B, V) of the first token."""
    ids = torch.full((len(context), 1), START, device=context.device)
    if prompt is not None:
        ids = torch.cat((prompt, ids), dim=1)
    if ids.shape[1] - 1 + max_tokens > decoder.config.max_length:
        raise InvalidInputError(
            f"a prompt of {ids.shape[1] - 1} tokens and a text of {max_tokens} are longer than the "
            f"decoder's {decoder.config.max_length}; shorten the prompt or max_tokens"
        )
    memory = decoder.remember(context, mask)
    return memory, decoder.step(ids, memory)


def _allow(logs: Tensor, words: Tensor, *, last: bool) -> Tensor:
    """Log-probabilities (R, V) with -inf where a token may not follow the words (R, L)."""
    allowed = logs.clone()
    length = words.shape[1]
    if last:
        allowed[:, :END] = allowed[:, END + 1 :] = -math.inf
        return allowed
    allowed[:, [PAD, UNKNOWN, START]] = -math.inf
    if length == 0:
        allowed[:, END] = -math.inf
    if length >= 3:
        repeated = (words[:, :-2] == words[:, -2:-1]) & (words[:, 1:-1] == words[:, -1:])
        row, place = repeated.nonzero(as_tuple=True)
        allowed[row, words[row, place + 2]] = -math.inf
    return allowed
