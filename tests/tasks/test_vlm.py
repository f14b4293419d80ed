"""The answerer with a real SmolVLM of random weights, made here and small."""

import json

import numpy as np
import pytest
import torch

from tests.tasks.words import film, make_scorer
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.tasks.answer import answer_timeline
from videomm.tasks.vlm import Answerer
from videomm.timeline import _thumbnails

SIDE = 32
PATCHES = 4
SPECIAL = [
    *("<unk>", "<|im_start|>", "<end_of_utterance>", "<image>"),
    *("<fake_token_around_image>", "<global-img>"),
]
_WORDS = (
    "these pictures are frames of one video in order answer the question a few words if what it "
    "asks about is not to be seen found cat dog yes no when does appear with user assistant"
)
WORDS = _WORDS.split()
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message.role }}"
    "{% for item in message.content %}{% if item.type == 'image' %}<image>"
    "{% else %} {{ item.text }}{% endif %}{% endfor %}<end_of_utterance>{% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


def make_tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS]))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<end_of_utterance>",
        additional_special_tokens=SPECIAL[3:],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder as one downloads it: safetensors, processor, chat template."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    tokenizer = make_tokenizer()
    size = {"longest_edge": SIDE}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(size=size, max_image_size=size, do_image_splitting=False),
        tokenizer,
        SmolVLMVideoProcessor(size=size, max_image_size=size),
        image_seq_len=PATCHES,
        chat_template=TEMPLATE,
    )
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
            "pad_token_id": 2,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        scale_factor=2,
        image_token_id=3,
        pad_token_id=2,
    )
    torch.manual_seed(0)
    target = tmp_path_factory.mktemp("vlm")
    SmolVLMForConditionalGeneration(config).save_pretrained(target)
    processor.save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def answerer(folder):
    return Answerer.load(str(folder))


@pytest.fixture
def video():
    """A timeline with pictures, the scorer that made it, and the timeline's own answer."""
    scorer = make_scorer()
    pixels = np.random.default_rng(0).integers(0, 255, (12, 24, 32, 3), dtype=np.uint8)
    timeline = film(scorer, "a cat", "a boat", thumbnails=tuple(_thumbnails(pixels)))
    return timeline, answer_timeline(timeline, "When does the cat appear?", scorer)


def test_it_answers_in_words_with_the_timelines_evidence(answerer, video, folder):
    timeline, basis = video
    found = answerer.answer(timeline, basis)
    assert found.method == "answerer"
    assert found.answer is None or set(found.answer.split()) <= {*WORDS, *SPECIAL}
    assert 0 <= found.score <= 1
    assert found.evidence == basis.evidence
    assert [(item.start, item.end) for item in found.evidence] == [(0, 3)]
    assert found.alternatives[0].answer == basis.answer == "0.0-3.0 s"
    assert found.model == f"{folder} with fake"


def test_it_is_greedy(answerer, video):
    assert answerer.answer(*video) == answerer.answer(*video)


def test_it_looks_at_the_frames(answerer, video):
    timeline, basis = video
    dark = film(
        make_scorer(),
        *("a cat", "a boat"),
        thumbnails=tuple(_thumbnails(np.zeros((12, 24, 32, 3), np.uint8))),
    )
    assert answerer.answer(timeline, basis).score != answerer.answer(dark, basis).score


def test_the_score_is_the_mean_probability_of_its_tokens(answerer, video):
    timeline, basis = video
    said, score = answerer._generate(_pictures(timeline), basis.question, ())
    logits = answerer.model.lm_head.weight.detach()
    assert 1 / len(logits) <= score <= 1
    assert isinstance(said, str)


def _pictures(timeline):
    from videomm.tasks.vlm import _frames_of

    return _frames_of(timeline, 4)


def test_frames_are_spread_over_the_video(video):
    from videomm.tasks.vlm import _frames_of

    timeline, _ = video
    assert len(_frames_of(timeline, 5)) == 5
    assert len(_frames_of(timeline, 500)) == len(timeline)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("cat", "a"),
        ("Cat.", "a"),
        ("it is a boat I think", "boat"),
        ("neither", None),
        ("cat or boat", None),
    ],
)
def test_replies_are_matched_to_choices(reply, expected, answerer, video, monkeypatch):
    timeline, basis = video
    monkeypatch.setattr(answerer, "_generate", lambda *args: (reply, 0.5))
    found = answerer.answer(timeline, basis, ["cat", "boat"])
    assert found.answer == ("cat" if expected == "a" else expected)
    assert (found.answer is None) == any("none of the choices" in item for item in found.warnings)


@pytest.mark.parametrize("reply", ["Not found.", "", "not visible"])
def test_a_refusal_is_no_answer(reply, answerer, video, monkeypatch):
    monkeypatch.setattr(answerer, "_generate", lambda *args: (reply, 0.5))
    assert answerer.answer(*video).answer is None


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotAvailableError, match="hf download nobody/nothing"):
        Answerer.load("nobody/nothing")
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded"):
        Answerer.load(str(tmp_path))


def test_a_missing_package_is_named(folder, monkeypatch):
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(ModelNotAvailableError, match=r"needs another package: .*num2words"):
        Answerer.load(str(folder))


def test_weights_that_are_no_safetensors_are_refused(folder, tmp_path):
    from safetensors.torch import load_file

    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelNotAvailableError, match="safetensors"):
        Answerer.load(str(tmp_path))


def test_a_model_without_a_chat_template_is_refused(answerer):
    processor = type("Plain", (), {"chat_template": None})()
    with pytest.raises(ModelNotAvailableError, match="has no chat template"):
        Answerer(answerer.model, processor, "plain")
    with pytest.raises(InvalidInputError, match="at least 1"):
        Answerer(answerer.model, answerer.processor, "none", max_frames=0)


def test_a_timeline_without_pictures_is_an_error(answerer):
    scorer = make_scorer()
    timeline = film(scorer, "a cat")
    basis = answer_timeline(timeline, "is there a cat?", scorer)
    with pytest.raises(InvalidInputError, match="has no thumbnails"):
        answerer.answer(timeline, basis)
    assert json.dumps(basis.to_dict())
