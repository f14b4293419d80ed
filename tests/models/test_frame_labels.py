import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videomm.errors import InvalidInputError
from videomm.models.frame_labels import FrameLabelConfig, FrameLabelModel
from videomm.models.temporal import rotary_frequencies


def values(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(**shape):
    """Weights as after training: none of them zero."""
    torch.manual_seed(0)
    defaults = {"width": 16, "num_heads": 2, "num_convolutions": 2, "windows": (2.0, None)}
    shape = defaults | {"num_refinements": 1, "refinement_convolutions": 1} | shape
    model = FrameLabelModel(FrameLabelConfig(dim=6, num_labels=3, **shape)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.mean.copy_(values(6, seed=1))
    model.deviation.copy_(values(6, seed=2).abs() + 0.5)
    return model


def naive(model, x, times):
    """The same for one video, in NumPy float64, frame by frame."""
    config, n = model.config, len(x)
    w = {k: v.detach().double().numpy() for k, v in model.state_dict().items()}
    size = config.width // config.num_heads
    frequencies = rotary_frequencies(config.temporal()).numpy()
    gelu = np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))

    def norm(v, key):
        v = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5)
        return v * w[f"{key}.weight"] + w[f"{key}.bias"]

    def linear(v, key):
        return v @ w[f"{key}.weight"].T + w[f"{key}.bias"]

    def rotated(v, t):
        pairs = (v[: size // 2] + 1j * v[size // 2 :]) * np.exp(1j * frequencies * t)
        return np.concatenate([pairs.real, pairs.imag])

    def attended(x, key, window):
        q, k, v = np.split(linear(x, f"{key}.qkv"), 3, axis=1)
        joined = np.zeros((n, config.width))
        for head, i in np.ndindex(config.num_heads, n):
            part = slice(head * size, (head + 1) * size)
            near = [j for j in range(n) if window is None or abs(times[i] - times[j]) <= window]
            query = rotated(q[i, part], times[i])
            logits = np.array([query @ rotated(k[j, part], times[j]) for j in near])
            weights = np.exp(logits / math.sqrt(size))
            joined[i, part] = weights / weights.sum() @ v[near, part]
        return joined

    x = (x - w["mean"]) / w["deviation"]
    for number in range(1 + config.num_refinements):
        stage = f"stages.{number}"
        x = linear(x, f"{stage}.project")
        for layer in range(config.refinement_convolutions if number else config.num_convolutions):
            key = f"{stage}.convolutions.{layer}"
            seen, kernel = norm(x, f"{key}.norm"), w[f"{key}.convolution.weight"]
            y = np.tile(w[f"{key}.convolution.bias"], (n, 1))
            for i, tap in np.ndindex(n, 3):
                j = i + (tap - 1) * 2**layer
                if 0 <= j < n:
                    y[i] += kernel[:, :, tap] @ seen[j]
            x = x + gelu(y)
        for layer, window in enumerate(() if number else config.windows):
            key = f"{stage}.blocks.{layer}"
            x = x + linear(attended(norm(x, f"{key}.norm1"), key, window), f"{key}.out")
            x = x + linear(gelu(linear(norm(x, f"{key}.norm2"), f"{key}.mlp.0")), f"{key}.down")
        logits = linear(norm(x, f"{stage}.norm"), f"{stage}.head")
        x = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return logits


def test_agrees_with_a_naive_numpy_version():
    model, x = trained(), values(1, 9, 6)
    times = torch.tensor([[0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 60.0, 61.0]])
    expected = naive(model, x[0].double().numpy(), times[0].tolist())
    assert np.abs(model(x, times)[0].detach().numpy() - expected).max() < 1e-4
    assert model.all_stages(x, times).shape == (2, 1, 9, 3)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 6), st.randoms())
def test_padding_and_batch_order_never_change_an_output(lengths, extra, random):
    model = trained()
    videos = [values(n, 6, seed=i) for i, n in enumerate(lengths)]
    width, order = max(lengths) + extra, list(range(len(videos)))
    random.shuffle(order)
    batch = torch.full((len(videos), width, 6), float("nan"))
    times = torch.full((len(videos), width), float("nan"))
    mask = torch.zeros(len(videos), width, dtype=torch.bool)
    for row, i in enumerate(order):
        batch[row, : lengths[i]] = videos[i]
        times[row, : lengths[i]] = 100 + torch.arange(lengths[i]) / 2
        mask[row, : lengths[i]] = True
    logits = model(batch, times, mask)
    for row, i in enumerate(order):
        alone = model(videos[i][None], times[row : row + 1, : lengths[i]])
        assert (logits[row, : lengths[i]] - alone[0]).abs().max() < 1e-5
        assert (logits[row, lengths[i] :] == 0).all()


def test_padding_leaves_gradients_finite():
    model, mask = trained().train(), torch.tensor([[True, True, False, False]])
    times = torch.tensor([[100.0, 101.0, 0.0, 0.0]])
    model(values(1, 4, 6), times, mask).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("shape", "reach"), [({"windows": (2.0,)}, 6), ({"windows": (), "num_refinements": 0}, 3)]
)
def test_a_frame_beyond_reach_changes_nothing(shape, reach):
    # Convolutions reach 1 + 2 frames, the window 2 of one a second, the refinement 1.
    model, x, times = trained(**shape), values(1, 30, 6), torch.arange(30.0)[None]
    changed = x.clone()
    changed[0, 15] += 1
    apart = (model(x, times) - model(changed, times)).abs().amax(-1)[0]
    inside = (torch.arange(30) - 15).abs() <= reach
    assert (apart[~inside] == 0).all()
    assert (apart[inside] > 0).all()


def test_only_differences_of_time_count():
    model, x, times = trained(), values(1, 9, 6), torch.arange(9.0)[None]
    assert (model(x, times) - model(x, times + 100)).abs().max() < 1e-4
    assert (model(x, times) - model(x, times * 2)).abs().max() > 1e-3


def test_a_single_frame_and_no_blocks():
    assert trained(windows=(), num_convolutions=0)(values(1, 1, 6), torch.zeros(1, 1)).shape == (
        1,
        1,
        3,
    )


def test_config_survives_json():
    config = FrameLabelConfig(dim=6, num_labels=3, windows=(2.0, None))
    assert FrameLabelConfig.from_dict(config.to_dict() | {"windows": [2.0, None]}) == config


def test_bad_shapes():
    with pytest.raises(InvalidInputError, match=r"must be \(B, N, 6\), got \(1, 2, 5\)"):
        trained()(torch.zeros(1, 2, 5), torch.zeros(1, 2))
    with pytest.raises(InvalidInputError, match=r"times and mask must be \(1, 2\)"):
        trained()(torch.zeros(1, 2, 6), torch.zeros(1, 3))
    with pytest.raises(InvalidInputError, match="at least one frame"):
        trained()(torch.zeros(1, 2, 6), torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"num_labels": 1}, "num_labels of at least 2, got dim=6, num_labels=1"),
        ({"num_convolutions": -1}, r"must be at least 0, got \(-1, 2, 6\)"),
        ({"windows": (4.0, 0.0)}, r"seconds above 0, or None .*, got \(4.0, 0.0\)"),
        ({"dropout": 1.0}, "below 1, got dropout=1.0"),
        ({"width": 30}, r"multiple of 2 \* num_heads, got dim=30, num_heads=4"),
    ],
)
def test_bad_config(shape, message):
    with pytest.raises(InvalidInputError, match=message):
        FrameLabelConfig(**{"dim": 6, "num_labels": 3} | shape)
