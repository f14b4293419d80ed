import numpy as np
import torch

from videomm.models.heads import ClassificationHead


def test_starts_as_clip_cosine_similarity():
    images, texts = torch.randn(3, 8), torch.randn(5, 8)
    head = ClassificationHead(8, logit_scale=50.0)
    assert torch.equal(head.weight, torch.eye(8))
    assert torch.allclose(head.similarity(images, texts), images @ texts.T, atol=1e-5)
    assert torch.allclose(head(images, texts), 50 * images @ texts.T, atol=1e-3)


def test_is_i_w_t_for_any_w():
    head = ClassificationHead(4, logit_scale=2.0, logit_bias=-1.5)
    torch.nn.init.normal_(head.weight)
    images, texts = torch.randn(2, 3, 4), torch.randn(5, 4)
    w, i, t = (x.detach().numpy() for x in (head.weight, images, texts))
    expected = np.einsum("bnd,de,le->bnl", i, w, t)
    assert np.allclose(head.similarity(images, texts).detach().numpy(), expected, atol=1e-5)
    assert np.allclose(head(images, texts).detach().numpy(), 2 * expected - 1.5, atol=1e-5)


def test_w_scale_and_bias_learn():
    head = ClassificationHead(4, logit_scale=2.0, logit_bias=0.0)
    head(torch.randn(3, 4), torch.randn(2, 4)).pow(2).sum().backward()
    assert {name for name, p in head.named_parameters() if p.grad is not None} == {
        "weight",
        "logit_scale",
        "logit_bias",
    }
