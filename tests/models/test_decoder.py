"""TextDecoder: padding, packing, shared contexts and the memory change nothing; errors."""

import pytest
import torch

from videomm.errors import InvalidInputError
from videomm.models.decoder import PAD, START, DecoderConfig, TextDecoder

SMALL = DecoderConfig(
    vocab_size=11, context_dim=6, width=16, num_layers=2, num_heads=2, max_length=12
)


def new_decoder(seed: int = 0) -> TextDecoder:
    """Random weights, spread so wide that outputs differ clearly."""
    torch.manual_seed(seed)
    decoder = TextDecoder(SMALL).eval()
    for parameter in decoder.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim > 1:
            parameter.mul_(2)
    return decoder


def texts(rows: int, length: int) -> torch.Tensor:
    ids = torch.randint(START, 11, (rows, length))
    ids[:, 0] = START
    return ids


def naive_attention(q, k, v, heads, seen):
    """One query at a time, one head at a time."""
    out = torch.zeros_like(q)
    size = q.shape[1] // heads
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(q)):
            scores = torch.stack([q[i, part] @ k[j, part] for j in seen(i)]) / size**0.5
            weights = scores.softmax(0)
            rows = zip(weights, seen(i), strict=True)
            out[i, part] = sum(weight * v[j, part] for weight, j in rows)
    return out


def test_is_the_transformer_of_the_paper():
    decoder, ids, context = new_decoder(), texts(1, 5), torch.randn(1, 4, 6)
    x = decoder.embedding(ids[0]) + decoder.positions.weight[:5]
    seen = decoder.project(context[0])
    for block in decoder.blocks:
        q, k, v = block.qkv(block.norm1(x)).chunk(3, dim=-1)
        x = x + block.out(naive_attention(q, k, v, 2, lambda i: range(i + 1)))
        k, v = block.context(seen).chunk(2, dim=-1)
        q = block.query(block.norm2(x))
        x = x + block.cross_out(naive_attention(q, k, v, 2, lambda i: range(4)))
        x = x + block.mlp(block.norm3(x))
    expected = decoder.norm(x) @ decoder.embedding.weight.T
    torch.testing.assert_close(decoder(ids, context)[0], expected, atol=1e-4, rtol=1e-4)


def test_a_token_sees_nothing_after_it():
    decoder, ids, context = new_decoder(), texts(2, 6), torch.randn(2, 4, 6)
    other = ids.clone()
    other[:, 4:] = 5
    torch.testing.assert_close(decoder(ids, context)[:, :4], decoder(other, context)[:, :4])


def test_padding_changes_nothing():
    decoder, ids, context = new_decoder(), texts(3, 5), torch.randn(3, 4, 6)
    expected = decoder(ids, context)
    for left, right in ((2, 0), (0, 3), (1, 1)):
        padded = torch.nn.functional.pad(ids, (left, right), value=PAD)
        given = decoder(padded, context)
        assert given.isfinite().all()
        torch.testing.assert_close(given[:, left : left + 5], expected, atol=1e-5, rtol=1e-5)


def test_padding_of_contexts_changes_nothing_whatever_it_holds():
    decoder, ids, context = new_decoder(), texts(3, 5), torch.randn(3, 4, 6)
    padded = torch.cat((context, torch.full((3, 2, 6), torch.nan)), dim=1)
    mask = torch.arange(6).expand(3, 6) < 4
    given = decoder(ids, padded, mask)
    torch.testing.assert_close(given, decoder(ids, context), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(given, decoder(ids, padded.nan_to_num(0.0)), atol=1e-3)


def test_order_of_a_batch_and_of_a_context_changes_nothing():
    decoder, ids, context = new_decoder(), texts(4, 5), torch.randn(4, 3, 6)
    order = torch.tensor([2, 0, 3, 1])
    expected = decoder(ids, context)
    torch.testing.assert_close(decoder(ids[order], context[order]), expected[order])
    mixed = context[:, [1, 2, 0]]
    torch.testing.assert_close(decoder(ids, mixed), expected, atol=1e-5, rtol=1e-5)


def test_rows_share_a_context():
    decoder, ids, context = new_decoder(), texts(6, 5), torch.randn(2, 4, 6)
    expected = decoder(ids, context.repeat_interleave(3, dim=0))
    torch.testing.assert_close(decoder(ids, context), expected, atol=1e-5, rtol=1e-5)
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    expected = decoder(ids, context.repeat_interleave(3, 0), mask.repeat_interleave(3, 0))
    torch.testing.assert_close(decoder(ids, context, mask), expected, atol=1e-5, rtol=1e-5)


def test_texts_in_a_row_are_as_each_alone():
    decoder, context = new_decoder(), torch.randn(1, 4, 6)
    first, second = texts(1, 5), texts(1, 7)
    packed = torch.cat((first, second, torch.full((1, 2), PAD)), dim=1)
    segments = torch.tensor([[0] * 5 + [1] * 7 + [2] * 2])
    given = decoder(packed, context, segments=segments)
    torch.testing.assert_close(given[:, :5], decoder(first, context), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(given[:, 5:12], decoder(second, context), atol=1e-5, rtol=1e-5)


def test_the_memory_changes_nothing():
    decoder, ids, context = new_decoder(), texts(4, 7), torch.randn(2, 4, 6)
    ids[1, :2] = PAD  # a shorter prompt
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    expected = decoder(ids, context, mask).log_softmax(-1)
    memory = decoder.remember(context, mask)
    given = decoder.step(ids[:, :3], memory)
    torch.testing.assert_close(given, expected[:, 2], atol=1e-5, rtol=1e-5)
    for place in range(3, 7):
        given = decoder.step(ids[:, place : place + 1], memory)
        torch.testing.assert_close(given, expected[:, place], atol=1e-5, rtol=1e-5)
    memory.select(torch.tensor([1, 1, 3, 2]))
    given = decoder.step(torch.full((4, 1), 5), memory)
    longer = torch.cat((ids[[1, 1, 3, 2]], torch.full((4, 1), 5)), dim=1)
    expected = decoder(longer, context, mask).log_softmax(-1)[:, -1]
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocab_size": 3}, "vocab_size above 3 and context_dim of at least 1, got vocab_size=3"),
        ({"width": 15}, "width must be a multiple of num_heads, got width=15, num_heads=2"),
        ({"num_layers": 0}, "num_layers must be at least 1 and max_length at least 2"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
    ],
)
def test_shapes_that_make_no_decoder(values, message):
    with pytest.raises(InvalidInputError, match=message):
        DecoderConfig.from_dict(SMALL.to_dict() | values)


def test_arguments_that_do_not_fit():
    decoder, ids, context = new_decoder(), texts(2, 5), torch.randn(2, 4, 6)
    with pytest.raises(InvalidInputError, match=r"context must be \(B, N, 6\), got \(2, 4, 5\)"):
        decoder(ids, context[..., :5])
    with pytest.raises(InvalidInputError, match=r"mask must be \(2, 4\), got \(2, 3\)"):
        decoder(ids, context, torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(InvalidInputError, match="each context needs at least one token"):
        decoder(ids, context, torch.tensor([[True] * 4, [False] * 4]))
    with pytest.raises(InvalidInputError, match=r"a multiple of the 2 contexts, got \(3, 5\)"):
        decoder(texts(3, 5), context)
    with pytest.raises(InvalidInputError, match="a text may have 12 tokens, got 13"):
        decoder(texts(2, 13), context)
