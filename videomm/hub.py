"""Models by name, and models in folders: config.json beside model.safetensors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from videomm.encoder import list_encoders, load_encoder
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel

KIND = "videomm-model"


def pick_device(device: str | None = None) -> torch.device:
    """The device named, or the best there is: CUDA, then MPS, then CPU.

    Raises:
        InvalidInputError: the name is none of torch's, or that device is not here.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(
            f"device {device!r} cannot be used here: {str(error).splitlines()[0][:160]}; "
            "allowed are cpu, cuda, cuda:N and mps where the machine has them"
        ) from error
    return chosen


def load_model(name: str = "tiny", device: str | None = None) -> VideoModel:
    """Load a model by name or from a folder that `save_model` wrote.

    Args:
        name: an encoder's name (see `load_encoder`), or a saved model's folder.
        device: None picks CUDA, then MPS, then CPU.

    Raises:
        ModelNotAvailableError: unknown name, missing weights, or a folder that is not a model.
    """
    chosen = pick_device(device)
    folder = Path(name)
    if not (folder / "config.json").is_file():
        if (folder / "settings.json").is_file():
            raise ModelNotAvailableError(
                f"{name}: its training is not finished; go on with videomm train ... --resume"
            )
        return VideoModel(load_encoder(name, chosen))
    try:
        config = json.loads((folder / "config.json").read_text())
        kind = config.get("kind") if isinstance(config, dict) else None
        if kind != KIND:
            raise ModelNotAvailableError(
                f"{name}: config.json has kind {kind!r}, expected {KIND!r}; an open_clip folder "
                "has open_clip_config.json instead"
            )
        encoder = load_encoder(config["encoder"], chosen)
        if encoder.fingerprint != config["encoder_fingerprint"]:
            raise ModelNotAvailableError(
                f"{name} was trained on encoder {config['encoder']} with weights "
                f"{config['encoder_fingerprint']}, here they are {encoder.fingerprint}; "
                "train it again, or install the version of videomm that it was trained with"
            )
        model = VideoModel(
            encoder,
            TemporalConfig.from_dict(config["temporal"]),
            name=name,
            labels=config.get("labels", ()),
            multi_label=config.get("multi_label", False),
        )
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelNotAvailableError(
            f"{name} is not a whole model folder: {str(error).splitlines()[0][:200]}"
        ) from error
    return model


def save_model(model: VideoModel, folder: str | os.PathLike[str]) -> None:
    """Write a model's own weights and config to a new folder, all or nothing.

    The encoder is named with the digest of its weights, not copied.

    Raises:
        InvalidInputError: the folder exists.
    """
    target = Path(folder)
    if target.exists():
        raise InvalidInputError(f"{target} exists; give a new folder or remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        write_model(model, aside)
        aside.chmod(0o755)
        aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def write_model(model: VideoModel, folder: Path) -> None:
    """Write the two files of a model into a folder that is there; see `save_model`."""
    config = {
        "kind": KIND,
        "encoder": model.encoder.name,
        "encoder_fingerprint": model.encoder.fingerprint,
        "temporal": model.temporal.config.to_dict(),
        "labels": list(model.labels),
        "multi_label": model.multi_label,
    }
    tensors = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def list_models() -> list[str]:
    """Every name that `load_model` knows without a folder: `tiny` first."""
    return list_encoders()
