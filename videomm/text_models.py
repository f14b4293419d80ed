"""Text towers of the transformers family in an encoder's folder, where open_clip needs help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXT_FOLDER = "text"  # within the encoder's: config.json of the text model


def know_family(model_type: str) -> None:
    """Let open_clip build text models of that ``model_type``; it lists only some by itself."""
    from open_clip.hf_configs import arch_dict  # takes seconds

    names = {"context_length": "max_position_embeddings", "width": "hidden_size"}
    arch_dict.setdefault(model_type, {"config_names": names, "pooler": "mean_pooler"})


def text_settings(folder: Path) -> dict[str, Any]:
    """What `open_clip.create_model` must be told beside the folder's own configuration.

    A text model of the transformers family lies in a folder within, and open_clip would look for
    it in the working directory.

    Args:
        folder: with ``open_clip_config.json``.

    Returns:
        Keyword arguments; none where the text tower is open_clip's own.
    """
    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    text = config.get("model_cfg", {}).get("text_cfg", {})
    inner = folder / TEXT_FOLDER
    if text.get("hf_model_name") != TEXT_FOLDER or not (inner / "config.json").is_file():
        return {}
    know_family(json.loads((inner / "config.json").read_text(encoding="utf-8"))["model_type"])
    settings = {"hf_model_name": str(inner.resolve()), "hf_model_pretrained": False}
    return {"text_cfg": {**text, **settings}}
