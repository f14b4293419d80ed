import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videomm.errors import InvalidInputError
from videomm.models.temporal import TemporalConfig, TemporalTransformer


def unit(*shape, seed=0):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def trained(dim=32, heads=4, layers=2):
    """Weights as after training: none of them zero."""
    torch.manual_seed(0)
    model = TemporalTransformer(TemporalConfig(dim=dim, num_heads=heads, num_layers=layers)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_untrained_is_exactly_mean_pooled_clip():
    x, times = unit(3, 7, 32), torch.arange(7.0).repeat(3, 1)
    context = TemporalTransformer(TemporalConfig(dim=32, num_heads=4))(x, times)
    expected = torch.nn.functional.normalize(x.mean(dim=1), dim=-1)
    assert (context.pooled - expected).abs().max() < 1e-6
    assert (context.frames - x).abs().max() < 1e-6


def test_untrained_is_the_identity_while_training_too():
    model = TemporalTransformer(TemporalConfig(dim=32, num_heads=4, dropout=0.5)).train()
    x = unit(2, 5, 32)
    assert (model(x, torch.zeros(2, 5)).frames - x).abs().max() < 1e-6


def naive(model, x, times):
    """The same for one video, in NumPy float64, from the equations."""
    config = model.config
    w = {k: v.detach().double().numpy() for k, v in model.state_dict().items()}
    n, dim = x.shape
    size = dim // config.num_heads
    periods = np.logspace(math.log10(config.min_period), math.log10(config.max_period), size // 2)

    def norm(v, key):
        v = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5)
        return v * w[f"{key}.weight"] + w[f"{key}.bias"]

    def linear(v, key):
        return v @ w[f"{key}.weight"].T + w[f"{key}.bias"]

    def rotated(v, t):
        out = v.copy()
        for i, period in enumerate(periods):
            angle = 2 * math.pi * t / period
            a, b = v[i], v[i + size // 2]
            out[i] = a * math.cos(angle) - b * math.sin(angle)
            out[i + size // 2] = a * math.sin(angle) + b * math.cos(angle)
        return out

    for layer in range(config.num_layers):
        key = f"blocks.{layer}"
        qkv = linear(norm(x, f"{key}.norm1"), f"{key}.qkv")
        joined = np.zeros((n, dim))
        for head in range(config.num_heads):
            part = slice(head * size, (head + 1) * size)
            q, k, v = (qkv[:, i * dim : (i + 1) * dim][:, part] for i in range(3))
            for i in range(n):
                logits = np.array(
                    [rotated(q[i], times[i]) @ rotated(k[j], times[j]) for j in range(n)]
                ) / math.sqrt(size)
                weights = np.exp(logits - logits.max())
                joined[i, part] = weights / weights.sum() @ v
        x = x + linear(joined, f"{key}.out")
        hidden = linear(norm(x, f"{key}.norm2"), f"{key}.mlp.0")
        gelu = 0.5 * hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        x = x + linear(gelu, f"{key}.down")
    frames = x / np.linalg.norm(x, axis=-1, keepdims=True)
    pooled = frames.mean(0)
    return frames, pooled / np.linalg.norm(pooled)


def test_agrees_with_a_naive_numpy_version():
    model, x = trained(), unit(1, 6, 32)
    times = torch.tensor([[0.0, 0.5, 1.7, 60.0, 3600.0, 3600.5]])
    context = model(x, times)
    frames, pooled = naive(model, x[0].double().numpy(), times[0].tolist())
    assert np.abs(context.frames[0].detach().numpy() - frames).max() < 1e-5
    assert np.abs(context.pooled[0].detach().numpy() - pooled).max() < 1e-5


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 6), st.randoms())
def test_padding_and_batch_order_never_change_an_output(lengths, extra, random):
    model = trained()
    videos = [unit(n, 32, seed=i) for i, n in enumerate(lengths)]
    width = max(lengths) + extra
    order = list(range(len(videos)))
    random.shuffle(order)
    batch = torch.full((len(videos), width, 32), 7.0)
    times = torch.full((len(videos), width), float("nan"))
    mask = torch.zeros(len(videos), width, dtype=torch.bool)
    for row, i in enumerate(order):
        batch[row, : lengths[i]] = videos[i]
        times[row, : lengths[i]] = torch.arange(lengths[i]) / 2
        mask[row, : lengths[i]] = True
    context = model(batch, times, mask)
    for row, i in enumerate(order):
        alone = model(videos[i][None], times[row : row + 1, : lengths[i]])
        assert (context.pooled[row] - alone.pooled[0]).abs().max() < 1e-5
        assert (context.frames[row, : lengths[i]] - alone.frames[0]).abs().max() < 1e-5
        assert (context.frames[row, lengths[i] :] == 0).all()


def test_order_and_time_matter_once_trained():
    model, x = trained(), unit(1, 6, 32)
    times = torch.arange(6.0)[None]
    forward = model(x, times).pooled
    assert (forward - model(x.flip(1), times).pooled).abs().max() > 1e-3
    assert (forward - model(x, times * 2).pooled).abs().max() > 1e-3
    # Only differences of time count, so a later cut of the same video gives the same.
    assert (forward - model(x, times + 100).pooled).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("x", "times", "mask", "message"),
    [
        (torch.zeros(1, 2, 8), torch.zeros(1, 2), None, r"must be \(B, N, 32\), got \(1, 2, 8\)"),
        (torch.zeros(1, 2, 32), torch.zeros(1, 3), None, r"times and mask must be \(1, 2\)"),
        (
            torch.zeros(1, 2, 32),
            torch.zeros(1, 2),
            torch.zeros(1, 2, dtype=torch.bool),
            "at least one frame",
        ),
    ],
)
def test_bad_shapes(x, times, mask, message):
    with pytest.raises(InvalidInputError, match=message):
        trained()(x, times, mask)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 30}, r"multiple of 2 \* num_heads, got dim=30, num_heads=8"),
        ({"dim": 32, "num_layers": -1}, "num_layers must be at least 0"),
        ({"dim": 32, "min_period": 9.0, "max_period": 1.0}, "min_period < max_period"),
    ],
)
def test_bad_config(values, message):
    with pytest.raises(InvalidInputError, match=message):
        TemporalConfig(**values)
