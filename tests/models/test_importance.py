import torch

from videomm.models.importance import ImportanceModel
from videomm.models.temporal import TemporalConfig

SHAPE = TemporalConfig(dim=16, num_heads=2)


def batch():
    frames = torch.nn.functional.normalize(torch.randn(2, 7, 16), dim=-1)
    return frames, torch.arange(7.0).repeat(2, 1), torch.rand(2, 7)


def test_untrained_it_is_what_it_began_with():
    frames, times, start = batch()
    start[0, :2] = torch.tensor([0.0, 1.0])
    rated = ImportanceModel(SHAPE).eval()(frames, times, start)
    assert torch.allclose(rated, start.clamp(1e-3, 1 - 1e-3), atol=1e-5)


def test_padding_changes_nothing():
    model = ImportanceModel(SHAPE).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    frames, times, start = batch()
    alone = model(frames[:1, :4], times[:1, :4], start[:1, :4])
    mask = torch.arange(7)[None] < torch.tensor([4, 7])[:, None]
    assert torch.allclose(model(frames, times, start, mask)[:1, :4], alone, atol=1e-5)
    assert not torch.allclose(alone, start[:1, :4], atol=1e-2)


def test_every_weight_learns_but_those_that_zero_hides():
    model = ImportanceModel(SHAPE)
    torch.nn.init.normal_(model.head.project.weight)
    for block in model.temporal.blocks:
        torch.nn.init.normal_(block.out.weight)
        torch.nn.init.normal_(block.down.weight)
    model(*batch()).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
