"""Write the trained towers as a folder that open_clip loads by itself, offline."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import TextTransformer
from safetensors.torch import save_file
from torch import Tensor, nn

from videomm.text_models import TEXT_FOLDER
from videomm.training.backbone import BACKBONE
from videomm.training.text_tower import TextTowerConfig, write_tokenizer
from videomm.training.views import IMAGE_SIZE, MEAN, RESIZE_MODE, STD

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
HEAD_DROPOUT = 0.4
EXACT_NUMEL = 100_000  # backbone tensors below this stay float32


def model_config(embed_dim: int, text: TextTowerConfig) -> dict[str, Any]:
    """open_clip's ``model_cfg``: a timm image tower and open_clip's own text transformer."""
    return {
        "embed_dim": embed_dim,
        "custom_text": True,
        "vision_cfg": {
            "timm_model_name": BACKBONE,
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "mlp",
            "timm_proj_bias": False,
            "timm_drop": HEAD_DROPOUT,
            "image_size": IMAGE_SIZE,
        },
        "text_cfg": text.as_text_cfg(),
    }


def preprocess_config() -> dict[str, Any]:
    """open_clip's ``preprocess_cfg``."""
    return {
        "size": [IMAGE_SIZE, IMAGE_SIZE],
        "mode": "RGB",
        "mean": list(MEAN),
        "std": list(STD),
        "interpolation": "bicubic",
        "resize_mode": RESIZE_MODE,
        "fill_color": 0,
    }


def build_clip(embed_dim: int, text: TextTowerConfig) -> nn.Module:
    """The model as open_clip builds it from the folder's configuration, untrained."""
    config = model_config(embed_dim, text)
    config.pop("custom_text")
    return cast(nn.Module, open_clip.CustomTextCLIP(**config))


def storage(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Half precision where it does no harm, contiguous, as safetensors wants it.

    The backbone's small layers (the early and the depthwise ones) keep single precision: rounding
    them moves some images' embeddings by a cosine of 0.002, and they are one megabyte.

    Raises:
        ValueError: If a value does not fit half precision.
    """
    output = {}
    for name, value in state.items():
        exact = not value.is_floating_point() or (
            name.startswith("visual.trunk.") and value.numel() < EXACT_NUMEL
        )
        stored = value if exact else value.half()
        if not torch.isfinite(stored.float()).all():
            raise ValueError(f"{name} does not fit float16: largest is {value.abs().max():.3g}")
        output[name] = stored.contiguous().clone()
    return output


def export(
    folder: Path,
    visual: nn.Module,
    tower: TextTransformer,
    text: TextTowerConfig,
    *,
    pieces: list[str],
    scale: float,
) -> None:
    """Write the model folder; files are replaced one by one, the config comes last.

    Args:
        folder: Where to; a model card that is there stays.
        visual: The image tower (open_clip's ``TimmModel``).
        tower: The text tower with its projection set.
        text: The text tower's shape.
        pieces: The vocabulary in the order of the ids.
        scale: Inverse temperature, stored as ``logit_scale``.
    """
    embed_dim = int(cast(Tensor, tower.text_projection).shape[1])
    model = build_clip(embed_dim, text)
    model.visual.load_state_dict(visual.state_dict())  # type: ignore[union-attr]
    model.text.load_state_dict(tower.state_dict())  # type: ignore[union-attr]
    with torch.no_grad():
        model.logit_scale.fill_(math.log(scale))  # type: ignore[operator]
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    write_tokenizer(partial, pieces, text.context_length)
    save_file(storage(model.state_dict()), partial / WEIGHTS_FILE, metadata={"format": "pt"})
    config = {
        "model_cfg": model_config(embed_dim, text),
        "preprocess_cfg": preprocess_config(),
    }
    (partial / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    folder.mkdir(exist_ok=True)
    _move_in(partial, folder)


def _move_in(partial: Path, folder: Path) -> None:
    """Move all files of a folder, and of those within, into another, which has the same ones
    within; the config, which makes it an encoder, comes last."""
    written = [path for path in sorted(partial.rglob("*")) if path.is_file()]
    for path in sorted(written, key=lambda path: path.name == CONFIG_FILE):
        path.chmod(0o644)
        os.replace(path, folder / path.relative_to(partial))
    shutil.rmtree(partial)


def read_model_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What an encoder's folder says of itself: ``model_cfg`` and ``preprocess_cfg``."""
    text = (Path(folder) / CONFIG_FILE).read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(text))


def write_encoder(
    folder: Path,
    model: nn.Module,
    config: dict[str, Any],
    preprocess: dict[str, Any],
    tokenizer: Any,
) -> None:
    """Write any two towers as a folder; files are replaced one by one, the config comes last.

    Weights keep their precision. A text tower of the transformers family has its configuration in
    a folder within.

    Args:
        folder: Where to; other files in it stay.
        model: open_clip's ``CustomTextCLIP``.
        config: Its ``model_cfg``.
        preprocess: Its ``preprocess_cfg``.
        tokenizer: open_clip's ``HFTokenizer`` or ``SimpleTokenizer``, which needs no files.
    """
    partial = folder / ".part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    config = {**config, "text_cfg": dict(config["text_cfg"])}
    if isinstance(model.text, HFTextEncoder):
        config["text_cfg"]["hf_model_name"] = TEXT_FOLDER
        (folder / TEXT_FOLDER).mkdir(exist_ok=True)
        (partial / TEXT_FOLDER).mkdir()
        model.text.config.save_pretrained(partial / TEXT_FOLDER)
    if hasattr(tokenizer, "save_pretrained"):
        tokenizer.save_pretrained(partial)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, partial / WEIGHTS_FILE, metadata={"format": "pt"})
    both = {"model_cfg": config, "preprocess_cfg": preprocess}
    (partial / CONFIG_FILE).write_text(json.dumps(both, indent=2) + "\n", encoding="utf-8")
    _move_in(partial, folder)


def load_exported(folder: Path) -> tuple[Any, Any, Any]:
    """(model, preprocess, tokenizer) as open_clip itself loads the folder."""
    name = f"local-dir:{folder.resolve()}"
    model, preprocess = open_clip.create_model_from_pretrained(name)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)


@torch.no_grad()
def check_export(
    folder: Path, visual: nn.Module, tower: TextTransformer, texts: list[str], images: Tensor
) -> float:
    """The lowest cosine between the trained towers and what open_clip loads from the folder.

    Args:
        folder: The exported folder.
        visual: The trained image tower.
        tower: The trained text tower.
        texts: Texts to compare on.
        images: Preprocessed images float32 (B, 3, H, W) to compare on.
    """
    model, _, tokenizer = load_exported(folder)
    ids = tokenizer(texts)
    text_cosine = torch.cosine_similarity(model.encode_text(ids), tower.eval()(ids))
    image_cosine = torch.cosine_similarity(model.encode_image(images), visual.eval()(images))
    return float(torch.cat([text_cosine, image_cosine]).min())
