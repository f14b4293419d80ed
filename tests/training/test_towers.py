"""Any text tower's states and projection give what the tower gives; any image tower pools."""

import open_clip
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from torch.nn import functional as F

from tests.picture_pairs import write_albert
from videomm.text_models import know_family
from videomm.training.pretrain import PretrainConfig, parameter_groups
from videomm.training.text_tower import pad_id, plain_projection, pooled_states
from videomm.training.towers import ImageTower, TowerPair, states_by_length

VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 12, "vocab_size": 60, "width": 32, "heads": 2, "layers": 1}
KINDS = [
    {},  # CLIP: causal, at the highest id
    {"pool_type": "eos", "eos_id": 3},
    {"pool_type": "last", "no_causal_mask": True, "proj_bias": True},  # SigLIP
    {"embed_cls": True, "no_causal_mask": True},
    {"proj_type": "none", "width": 16, "heads": 2},
]


def build(text=None, **vision):
    return open_clip.CustomTextCLIP(
        embed_dim=16, vision_cfg=VISION | vision, text_cfg=TEXT | (text or {})
    )


def some_ids():
    ids = torch.zeros(5, 12, dtype=torch.long)
    for row, length in enumerate((3, 7, 2, 9, 5)):
        ids[row, :length] = torch.randint(5, 50, (length,))
        ids[row, length] = 3
        ids[row, 0] = 59 if row == 2 else ids[row, 0]
    return ids


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_states_and_projection_are_the_tower(kind):
    tower, ids = build(kind).text.eval(), some_ids()
    with torch.no_grad():
        states = pooled_states(tower, ids)
        projection = plain_projection(tower)
        found = states if projection is None else states @ projection
        assert torch.allclose(found, tower(ids), atol=1e-5)
        assert torch.allclose(states_by_length(tower, ids, chunk=2), states, atol=1e-5)
    assert (projection is None) == ("proj_bias" in kind or "proj_type" in kind)


@pytest.mark.parametrize("projection", ["linear", "mlp"])
def test_a_text_model_of_the_transformers_family(projection, tmp_path):
    know_family("albert")
    folder = write_albert(tmp_path)
    tower = HFTextEncoder(
        str(folder), 16, pooler_type="mean_pooler", proj_type=projection, pretrained=False
    ).eval()
    ids = some_ids()
    with torch.no_grad():
        states, matrix = pooled_states(tower, ids), plain_projection(tower)
        found = states if matrix is None else states @ matrix
        assert torch.allclose(found, tower(ids), atol=1e-5)
    assert (matrix is None) == (projection == "mlp")
    assert pad_id(tower) == 0


def test_an_image_tower_without_a_head():
    visual = build().visual
    tower = ImageTower(visual, None, 16)
    images = torch.randn(2, 3, 32, 32)
    given = tower.eval().head(tower.pool(images))
    assert torch.allclose(given, F.normalize(visual(images), dim=-1), atol=1e-6)
    assert torch.equal(tower.pool(given), given)  # pooled before
    states = torch.randn(3, 16)
    assert torch.allclose(tower.map_text(states), F.normalize(states, dim=-1))


def test_only_an_untrained_trunk_counts_its_batch_statistics():
    settings = {"timm_model_name": "resnet10t", "timm_pool": "avg", "timm_proj": "linear"}
    for pretrained in (True, False):
        visual = build(**settings).visual
        tower = ImageTower(visual, 32, 16, pretrained=pretrained).train()
        before = visual.trunk.bn1.running_mean.clone() if hasattr(visual.trunk, "bn1") else None
        tower.pool(torch.randn(4, 3, 32, 32))
        assert before is not None
        assert torch.equal(visual.trunk.bn1.running_mean, before) == pretrained
        assert tower.head_module is not None
        assert tower.head_module.training


def test_what_learns():
    model = build()
    pair = TowerPair(ImageTower(model.visual, 32, 16), model.text)

    def trained(config):
        return {id(p) for group in parameter_groups(pair, config) for p in group["params"]}

    few, all_of_it = trained(PretrainConfig()), trained(PretrainConfig(token_table=True))
    assert all_of_it - few == {id(model.text.token_embedding.weight)}
    assert id(model.text.text_projection) not in all_of_it
    model.visual.requires_grad_(False)
    groups = parameter_groups(pair, PretrainConfig())
    assert all(group["peak"] > 0 for group in groups)
    assert id(model.visual.conv1.weight) not in trained(PretrainConfig())
