import json
from dataclasses import asdict

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg
from PIL import Image

from videomm.encoder import FrameEncoder, list_encoders, load_encoder
from videomm.errors import InvalidInputError, ModelNotAvailableError

# SigLIP's published settings; open_clip ties them to the weights and not to the architecture.
SIGLIP = {"mean": 0.5, "std": 0.5, "interpolation": "bicubic", "resize_mode": "squash"}
PE = {"mean": 0.5, "std": 0.5, "interpolation": "bilinear", "resize_mode": "squash"}
FAMILIES = {
    "ViT-B-32-256": {},
    "ViT-B-16-SigLIP": SIGLIP,
    "PE-Core-T-16-384": PE,
}


def small_model(seed=0, **preprocess):
    """A CLIP with random weights, small enough to be made in a moment."""
    torch.manual_seed(seed)
    vision = open_clip.CLIPVisionCfg(layers=1, width=64, patch_size=32, image_size=64)
    text = open_clip.CLIPTextCfg(layers=1, width=64, heads=1)
    model = open_clip.CLIP(64, vision, text)
    open_clip.model.set_model_preprocess_cfg(model, asdict(PreprocessCfg(size=64, **preprocess)))
    return model


def pictures():
    """Photograph-like pictures of several shapes: smooth parts, edges and fine texture."""
    rng = np.random.default_rng(0)
    for height, width in ((480, 640), (300, 451), (720, 405), (97, 233)):
        y, x = np.mgrid[:height, :width]
        base = 127 + 90 * np.sin(x[..., None] / (20, 31, 47)) * np.cos(y[..., None] / (33, 17, 25))
        base[height // 3 : height // 2, width // 4 : width // 2] = (250, 10, 60)
        noise = rng.normal(0, 20, (height, width, 3))
        yield np.clip(base + noise, 0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_tensor_preprocessing_equals_the_models_own(family):
    torch.manual_seed(0)
    model = open_clip.create_model(
        family, pretrained_text=False, force_preprocess_cfg=FAMILIES[family]
    )
    _check_preprocessing(FrameEncoder(model, family), model)


def test_tensor_preprocessing_of_tiny_equals_its_own(tiny):
    _check_preprocessing(tiny, tiny._model)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_every_resize_mode_equals_the_models_own(mode, interpolation):
    model = small_model(resize_mode=mode, interpolation=interpolation, fill_color=7)
    _check_preprocessing(FrameEncoder(model, "small"), model)


def _check_preprocessing(encoder, model):
    transform = open_clip.transform.image_transform_v2(
        PreprocessCfg(**model.visual.preprocess_cfg), is_train=False
    )
    for pixels in pictures():
        with torch.inference_mode():
            own = model.encode_image(transform(Image.fromarray(pixels))[None])
        own = torch.nn.functional.normalize(own, dim=-1).numpy()
        assert float((own * encoder.encode_frames(pixels[None])).sum()) > 0.9999


def test_frames_become_unit_vectors_whatever_the_batch(tiny):
    pixels = np.stack([p[:96, :200] for p in pictures()])
    vectors = tiny.encode_frames(pixels)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, tiny.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    # Another batch size may take another bfloat16 kernel.
    assert (tiny.encode_frames(pixels, batch_size=1) * vectors).sum(axis=1).min() > 0.9999


def test_text_averages_its_prompts(tiny):
    prompts = tiny.encode_text(["a photo of a cat", "a cat"])
    mean = prompts.mean(axis=0)
    vector = tiny.encode_text(["a cat"], ("a photo of {}", "{}"))
    assert np.allclose(vector[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_text_of_one_batch_does_not_depend_on_the_others(tiny):
    alone = tiny.encode_text(["a cat"])
    beside = tiny.encode_text(["a cat", "a man in a red shirt climbs a steep wall of grey rock"])
    assert np.allclose(alone[0], beside[0], atol=1e-5)


def test_tiny_knows_a_cat_from_a_car(tiny):
    cat, kitten, car = tiny.encode_text(["a cat", "a kitten", "a car"])
    assert cat @ kitten > cat @ car


def test_fingerprint_follows_the_weights_and_the_preprocessing():
    def name(**options):
        return FrameEncoder(small_model(**options), "x").id

    assert name() == name()
    assert len({name(), name(seed=1), name(mean=0.4)}) == 3


def test_process_wide_precision_is_put_back(tiny):
    before = torch.get_float32_matmul_precision()
    tiny.encode_frames(np.zeros((1, 8, 8, 3), np.uint8))
    assert torch.get_float32_matmul_precision() == before


def test_bad_arguments(tiny):
    with pytest.raises(InvalidInputError, match="uint8 of shape"):
        tiny.encode_frames(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(InvalidInputError, match="no frames to encode"):
        tiny.encode_frames(np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(InvalidInputError, match="no texts"):
        tiny.encode_text([])
    with pytest.raises(InvalidInputError, match=r"exactly one \{\}, got \['a photo'\]"):
        tiny.encode_text(["a cat"], ("a photo",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-32-265/datacomp_s34b_b86k", "did you mean ViT-B-32-256/datacomp_s34b_b86k"),
        ("tinny", "unknown model 'tinny': allowed are tiny, ARCH/TAG, hf-hub:ORG/NAME"),
        ("ViT-B-32", "unknown model 'ViT-B-32'"),
        ("local-dir:/nowhere", "no open_clip_config.json in /nowhere"),
    ],
)
def test_unknown_names_say_what_is_allowed(name, message):
    with pytest.raises(ModelNotAvailableError, match=message):
        load_encoder(name)


@pytest.mark.parametrize(
    "name", ["ViT-B-32-256/datacomp_s34b_b86k", "hf-hub:videomm-tests/no-such-model"]
)
def test_missing_weights_are_an_error_that_says_how_to_get_them(name, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotAvailableError) as caught:
        load_encoder(name)
    assert "cannot be loaded here" in str(caught.value)
    assert "connect once so that they are downloaded" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_local_folder_without_weights_never_gives_random_ones(tmp_path):
    config = {"model_cfg": open_clip.get_model_config("RN50"), "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded here"):
        load_encoder(f"local-dir:{tmp_path}")


def test_local_folder_loads_by_prefix_and_by_path(tiny):
    from videomm.encoder import TINY_DIR

    for name in (f"local-dir:{TINY_DIR}", str(TINY_DIR)):
        encoder = load_encoder(name)
        assert encoder.fingerprint == tiny.fingerprint
        assert np.allclose(encoder.encode_text(["a cat"]), tiny.encode_text(["a cat"]))


def test_every_name_is_listed():
    names = list_encoders()
    assert names[0] == "tiny"
    assert "ViT-B-32-256/datacomp_s34b_b86k" in names
    assert "PE-Core-B-16/meta" in names


@torch.no_grad()
def test_places_lead_to_the_embedding(tiny):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 120, 90, 3)).astype(np.uint8)
    places = tiny.encode_spatial(pixels, batch_size=2)
    assert (places.shape, places.dtype) == ((3, 64, 320), np.float32)
    trunk, head = tiny._model.visual.trunk, tiny._model.visual.head
    last = trunk.bn2(trunk.conv_head(torch.from_numpy(places).mT.unflatten(2, (8, 8))))
    last = torch.nn.functional.relu6(last)
    embeddings = torch.nn.functional.normalize(head(last.mean((2, 3))), dim=-1).numpy()
    assert (embeddings * tiny.encode_frames(pixels)).sum(axis=1).min() > 0.9999


def test_an_image_tower_without_places():
    encoder = FrameEncoder(small_model(), "small")
    with pytest.raises(InvalidInputError, match="the image tower of small gives no places"):
        encoder.encode_spatial(np.zeros((1, 64, 64, 3), np.uint8))
