"""Towers to start from, with weights that are there or asked to be random, never by surprise."""

import json

import pytest
import torch

from tests.picture_pairs import write_albert
from videomm.errors import ModelNotAvailableError
from videomm.training.pretrain_config import ImageStart, TextStart
from videomm.training.start import join_towers, load_start, put_back, replace_text


@pytest.fixture(scope="module")
def tiny_start():
    return load_start(ImageStart())


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_was_trained_beside_the_model_is_put_back(tiny_start):
    pair = join_towers(tiny_start, ImageStart(), frozen_text=False)
    ids = tiny_start.tokenize(["a red square", "two dogs"])
    model = tiny_start.model.eval()
    with torch.no_grad():
        before = model.encode_text(ids, normalize=True)
        states = pair.text_states(None, ids, torch.arange(2))
        assert torch.allclose(pair.image.map_text(states), before, atol=1e-5)
        assert pair.image.scale.item() == pytest.approx(model.logit_scale.exp().item())
        kept = pair.image.text_map.clone()
        pair.image.text_map.mul_(-1)
        put_back(tiny_start, pair)
        assert torch.allclose(model.encode_text(ids, normalize=True), -before, atol=1e-5)
        pair.image.text_map.copy_(kept)
        put_back(tiny_start, pair)


@pytest.mark.slow
def test_weights_of_a_text_model_are_all_there_or_it_is_an_error(tiny_start, tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import AlbertConfig, AlbertModel

    folder = write_albert(tmp_path)
    with pytest.raises(ModelNotAvailableError, match="say weights = 'random' in "):
        replace_text(tiny_start, TextStart(start=str(folder)))
    AlbertModel(AlbertConfig.from_pretrained(folder)).save_pretrained(folder)
    start = replace_text(tiny_start, TextStart(start=str(folder)))
    file = folder / "model.safetensors"
    weights = load_file(file)
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(start.text.transformer.state_dict()[name], weights[name])
    assert start.tokenize(["a dog"]).shape == (1, 64)
    assert tiny_start.text is not start.text
    save_file({k: v for k, v in weights.items() if k != name}, file, metadata={"format": "pt"})
    with pytest.raises(ModelNotAvailableError, match=f"lack '{name}' and 0 more"):
        replace_text(tiny_start, TextStart(start=str(folder)))


def test_a_tokenizer_of_another_model_is_an_error(tiny_start, tmp_path):
    text = TextStart(start=str(write_albert(tmp_path)), weights="random")
    change(tmp_path, pad_token_id=7)
    with pytest.raises(ModelNotAvailableError, match="pads with 7 and its tokenizer with 0"):
        replace_text(tiny_start, text)
    change(tmp_path, pad_token_id=0, vocab_size=100)
    with pytest.raises(ModelNotAvailableError, match="knows 27628 tokens and its model 100"):
        replace_text(tiny_start, text)
