"""Towers from an open_clip folder of the embedded model's kind, without open_clip and timm.

Importing those takes seconds; this takes a fraction of one and gives the same outputs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from videomm.towers.image import LiteTower
from videomm.towers.text import TextTower, Tokenize, load_tokenizer

# What must stand in the folder's files as it is here, and which other keys may stand there.
VISION = {
    "timm_model_name": "efficientnet_lite0",
    "timm_model_pretrained": False,
    "timm_pool": "avg",
    "timm_proj": "mlp",
    "timm_proj_bias": False,
}
VISION_FREE = {"timm_drop", "image_size"}  # dropout is of training alone
TEXT = {"pool_type": "eos"}
TEXT_SHAPE = {"vocab_size", "context_length", "width", "heads", "layers", "eos_id"}
TEXT_FREE = TEXT_SHAPE | {"pad_id", "hf_tokenizer_name"}
PREPROCESS = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}
TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "padding_side": "right",
    "clean_up_tokenization_spaces": False,
}
TOKENIZER_FREE = {f"{name}_token" for name in ("pad", "unk", "cls", "sep", "mask")}
TOKENIZER_FREE |= {"model_max_length"}  # context_length overrules it


class Towers(nn.Module):
    """Image and text tower of one space, with what a `FrameEncoder` asks of an open_clip model.

    Args:
        folder: of a kind that `is_known` knows.
        device: where they run.

    Attributes:
        folder: as given.
        context_length: tokens of a text.

    Raises:
        OSError, ValueError, RuntimeError, SafetensorError: files are missing or do not fit.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        super().__init__()
        config = _read(folder / "open_clip_config.json")
        model = config["model_cfg"]
        text = {key: model["text_cfg"][key] for key in TEXT_SHAPE}
        with torch.device("meta"):  # nothing is drawn at random
            self.visual = LiteTower(model["embed_dim"])
            self.text = TextTower(model["embed_dim"], **text)
            self.logit_scale = nn.Parameter(torch.empty(()))
        self.visual.preprocess_cfg = config["preprocess_cfg"]
        state = load_file(folder / "open_clip_model.safetensors", device=str(device))
        state = {key: v.float() if v.is_floating_point() else v for key, v in state.items()}
        self.load_state_dict(state, assign=True)
        self.eval().requires_grad_(False)
        self.visual.freeze()
        self.folder, self.context_length = folder, int(text["context_length"])

    def encode_image(self, images: Tensor) -> Tensor:
        """See `LiteTower.forward`."""
        embeddings: Tensor = self.visual(images)
        return embeddings

    def encode_text(self, ids: Tensor) -> Tensor:
        """See `TextTower.forward`."""
        embeddings: Tensor = self.text(ids)
        return embeddings

    def load_tokenizer(self) -> Tokenize:
        """The folder's tokenizer."""
        return load_tokenizer(self.folder / "tokenizer.json", self.context_length)


def is_known(folder: Path) -> bool:
    """Whether `Towers` gives what open_clip gives from this folder; others are open_clip's."""
    try:
        config = _read(folder / "open_clip_config.json")
        tokenizer = _read(folder / "tokenizer_config.json")
        model, preprocess = config["model_cfg"], config["preprocess_cfg"]
        vision, text = model["vision_cfg"], model["text_cfg"]
        return (
            set(model) == {"embed_dim", "custom_text", "vision_cfg", "text_cfg"}
            and model["custom_text"] is True
            and _fits(vision, VISION, VISION_FREE)
            and _fits(text, TEXT, TEXT_FREE)
            and set(preprocess) == PREPROCESS
            and preprocess["size"] == [vision["image_size"]] * 2
            and _fits(tokenizer, TOKENIZER, TOKENIZER_FREE)
            and (folder / "tokenizer.json").is_file()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _fits(given: dict[str, Any], wanted: dict[str, Any], free: set[str]) -> bool:
    return {k: v for k, v in given.items() if k not in free} == wanted and free <= set(given)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
