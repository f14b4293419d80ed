"""What `videomm pretrain` starts from: an image tower and a text tower, each trained or not."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
import transformers
from open_clip.factory import _get_hf_config
from open_clip.hf_model import HFTextEncoder
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transform import PreprocessCfg
from torch import Tensor, nn

from videomm.encoder import open_clip_name
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.text_models import TEXT_FOLDER, know_family, text_settings
from videomm.training.export import read_model_config
from videomm.training.pretrain_config import ImageStart, TextStart
from videomm.training.text_tower import plain_projection
from videomm.training.towers import ImageTower, TowerPair

POOLER, PROJECTION = "mean_pooler", "linear"  # what open_clip puts on a text model


@dataclass(frozen=True, eq=False)
class Start:
    """Towers before training, with what a folder of them needs.

    Attributes:
        model: open_clip's ``CustomTextCLIP``.
        config: its ``model_cfg``.
        preprocess: its ``preprocess_cfg``.
        tokenizer: open_clip's, texts to token ids int64 (N, L).
        new_text: whether the text tower has never met the image tower.
    """

    model: nn.Module
    config: dict[str, Any]
    preprocess: dict[str, Any]
    tokenizer: Any
    new_text: bool = False

    @property
    def text(self) -> nn.Module:
        """The text tower."""
        return cast(nn.Module, self.model.text)

    def tokenize(self, texts: list[str]) -> Tensor:
        """Token ids int64 (N, L)."""
        return cast(Tensor, self.tokenizer(texts))


def load_start(image: ImageStart) -> Start:
    """The encoder that `[image]` names, with its own text tower.

    Raises:
        ModelNotAvailableError: it is unknown, or its weights cannot be had.
        InvalidInputError: its kind cannot be trained here.
    """
    if image.weights == "random":
        name = image.start
        if name != "tiny" and name not in open_clip.list_models():
            raise ModelNotAvailableError(
                f"no architecture {name!r} to train from nothing: allowed are tiny and "
                "open_clip's, such as ViT-B-32, without a tag"
            )
        source = open_clip_name(name)[0] if name == "tiny" else name
        config = read_config(source)
        model = build_model(config)
        size = config["vision_cfg"].get("image_size", 224)
        preprocess = vars(PreprocessCfg(size=size)) | read_preprocess(source)
    else:
        source, tag = open_clip_name(image.start)
        config = read_config(source)
        model = _load_model(image.start, source, tag)
        model.logit_bias = None  # type: ignore[assignment]
        preprocess = dict(cast(dict[str, Any], model.visual.preprocess_cfg))  # type: ignore[union-attr]
    tokenizer = open_clip.get_tokenizer(source)
    if not isinstance(tokenizer, (HFTokenizer, SimpleTokenizer)):
        raise InvalidInputError(
            f"{image.start} has a tokenizer that open_clip cannot read from a folder; start from "
            "another encoder"
        )
    return Start(model, config, preprocess, tokenizer)


def _load_model(name: str, source: str, tag: str | None) -> nn.Module:
    folder = source.removeprefix("local-dir:")
    more = text_settings(Path(folder)) if folder != source else {}
    try:
        model = open_clip.create_model(
            source, pretrained=tag, require_pretrained=True, force_custom_text=True, **more
        )
    except Exception as error:
        raise ModelNotAvailableError(
            f"the weights of {name!r} cannot be loaded here: {_first_line(error)}; give a folder, "
            "start from tiny, or say weights = 'random' in [image] to train from nothing"
        ) from error
    return cast(nn.Module, model)


def read_config(source: str) -> dict[str, Any]:
    """A model's ``model_cfg``, by open_clip's name for it."""
    if source.startswith("local-dir:"):
        config = read_model_config(source.removeprefix("local-dir:"))["model_cfg"]
    elif source.startswith("hf-hub:"):
        config = _get_hf_config(source.removeprefix("hf-hub:"))["model_cfg"]
    else:
        config = open_clip.get_model_config(source)
    if "multimodal_cfg" in config:
        raise InvalidInputError(
            f"{source} is a CoCa model, which writes captions as well and cannot be trained here; "
            "start from a model of two towers"
        )
    # The softmax loss of training has no bias, which a sigmoid-trained model (SigLIP) has.
    config = {key: value for key, value in config.items() if key != "init_logit_bias"}
    return {**copy.deepcopy(config), "custom_text": True}


def read_preprocess(source: str) -> dict[str, Any]:
    """The ``preprocess_cfg`` of a folder; nothing is known of a bare architecture's."""
    if not source.startswith("local-dir:"):
        return {}
    given: dict[str, Any] = read_model_config(source.removeprefix("local-dir:"))["preprocess_cfg"]
    return given


def build_model(config: dict[str, Any]) -> nn.Module:
    """An untrained ``CustomTextCLIP``; nothing is downloaded for it."""
    settings = {key: value for key, value in copy.deepcopy(config).items() if key != "custom_text"}
    if "timm_model_name" in settings["vision_cfg"]:
        settings["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in settings["text_cfg"]:
        settings["text_cfg"]["hf_model_pretrained"] = False
    return cast(nn.Module, open_clip.CustomTextCLIP(**settings))


def replace_text(start: Start, text: TextStart) -> Start:
    """The same with another text tower, of the transformers family, and a new projection.

    Raises:
        ModelNotAvailableError: the text model, its weights or its tokenizer cannot be had; random
            weights never stand in for them.
    """
    name = text.start
    try:
        family = transformers.AutoConfig.from_pretrained(name)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        know_family(family.model_type)
        dim = int(start.config["embed_dim"])
        tower = HFTextEncoder(name, dim, pooler_type=POOLER, proj_type=PROJECTION, pretrained=False)
        if text.weights == "pretrained":
            _load_text_weights(tower.transformer, name)
    except ModelNotAvailableError:
        raise
    except Exception as error:
        raise ModelNotAvailableError(
            f"the text model {name!r} cannot be had here: {_first_line(error)}; give a folder "
            "with config.json, a tokenizer and weights, or say weights = 'random' in [text] to "
            "train it from nothing"
        ) from error
    _check_tokenizer(name, family, tokenizer)
    length = min(text.context_length, family.max_position_embeddings - 2)
    text_cfg = {
        "hf_model_name": TEXT_FOLDER,
        "hf_tokenizer_name": "tokenizer",
        "hf_proj_type": PROJECTION,
        "hf_pooler_type": POOLER,
        "context_length": length,
    }
    model = copy.deepcopy(start.model)
    model.text = tower
    config = {**start.config, "text_cfg": text_cfg}
    wrapped = HFTokenizer(name, context_length=length)
    return Start(model, config, start.preprocess, wrapped, new_text=True)


def _load_text_weights(model: nn.Module, name: str) -> None:
    """Give a text model its weights; any that are missing are an error."""
    given, found = transformers.AutoModel.from_pretrained(name, output_loading_info=True)
    state = given.state_dict()
    wanted = model.state_dict().keys()
    missing = sorted(wanted & set(found["missing_keys"]) | (wanted - state.keys()))
    if missing:
        raise ModelNotAvailableError(
            f"the weights of the text model {name!r} lack {missing[0]!r} and {len(missing) - 1} "
            "more; give whole weights, or say weights = 'random' in [text]"
        )
    model.load_state_dict({key: state[key] for key in wanted})


def _check_tokenizer(name: str, config: Any, tokenizer: Any) -> None:
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id != config.pad_token_id:
        raise ModelNotAvailableError(
            f"the text model {name!r} pads with {config.pad_token_id} and its tokenizer with "
            f"{tokenizer.pad_token_id}; make pad_token_id in config.json the tokenizer's"
        )
    if len(tokenizer) > config.vocab_size:
        raise ModelNotAvailableError(
            f"the tokenizer of {name!r} knows {len(tokenizer)} tokens and its model "
            f"{config.vocab_size}; they do not belong together"
        )


def join_towers(start: Start, image: ImageStart, *, frozen_text: bool) -> TowerPair:
    """The towers as the loop trains them; `put_back` returns what it learned to the model.

    The text tower stays outside where it is frozen: its states are then computed once.
    """
    projection = plain_projection(start.text)
    width = None if projection is None else projection.shape[0]
    visual = cast(nn.Module, start.model.visual)
    pretrained = image.weights == "pretrained"
    tower = ImageTower(visual, width, int(start.config["embed_dim"]), pretrained=pretrained)
    with torch.no_grad():
        if tower.text_map is not None and projection is not None and not start.new_text:
            tower.text_map.copy_(projection)
        if pretrained and not start.new_text:
            tower.log_scale.copy_(cast(Tensor, start.model.logit_scale))
    visual.requires_grad_(True)
    start.text.requires_grad_(True)
    if image.frozen:
        tower.trunk.requires_grad_(False)
    return TowerPair(tower, None if frozen_text else start.text)


@torch.no_grad()
def put_back(start: Start, pair: TowerPair) -> None:
    """Give the model the projection and the scale that were trained beside it."""
    projection = plain_projection(start.text)
    if projection is not None:
        projection.copy_(cast(Tensor, pair.image.text_map))
    cast(Tensor, start.model.logit_scale).copy_(pair.image.scale.log())


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
