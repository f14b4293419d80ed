"""Models by name, and models in folders: config.json beside model.safetensors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from videomm.encoder import FrameEncoder, list_encoders, load_encoder, local_folder
from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.models.decoder import DecoderConfig, TextDecoder
from videomm.models.describer import Describer
from videomm.models.frame_labels import FrameLabelConfig, FrameLabelModel
from videomm.models.generation import GenerationConfig
from videomm.models.importance import ImportanceModel
from videomm.models.temporal import TemporalConfig
from videomm.models.video_model import VideoModel

KIND = "videomm-model"
ENCODER = "encoder"  # folder of an encoder that was trained with its model
DECODER_KIND = "videomm-decoder"
DECODER_WEIGHTS = "decoder.safetensors"
DECODER_TOKENIZER = "decoder.tokenizer.json"
DECODER_CONFIG = "decoder.json"


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
        name: an encoder's name (see `load_encoder`), a saved model's folder, or `hf-hub:OWNER/NAME`
            of one that `videomm push` uploaded.
        device: None picks CUDA, then MPS, then CPU.

    Raises:
        ModelNotAvailableError: unknown name, missing weights, or a folder that is not a model.
    """
    chosen = pick_device(device)
    folder = Path(name)
    if name.startswith("hf-hub:"):
        folder = _download(name) or folder
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
        own = config.get("own_encoder", False)
        encoder = load_encoder(encoder_within(folder) if own else config["encoder"], chosen)
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
            frame_labels=FrameLabelModel(FrameLabelConfig.from_dict(config["frame_labels"]))
            if "frame_labels" in config
            else None,
            fusion=config.get("fusion", "none"),
            importance=ImportanceModel(TemporalConfig.from_dict(config["importance"]))
            if "importance" in config
            else None,
        )
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelNotAvailableError(
            f"{name} is not a whole model folder: {str(error).splitlines()[0][:200]}"
        ) from error
    return model


def encoder_within(folder: Path) -> str:
    """The name of the encoder that was trained with a model, in the model's folder."""
    return f"local-dir:{folder / ENCODER}"


def hub_config(name: str) -> dict[str, Any] | None:
    """The config of a saved model on the Hugging Face hub; None where there is none of ours.

    Args:
        name: `hf-hub:OWNER/NAME`.

    Raises:
        ModelNotAvailableError: there is no such repository.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.utils import RepositoryNotFoundError

    repo = name.removeprefix("hf-hub:")
    try:
        config = json.loads(Path(hf_hub_download(repo, "config.json")).read_text())
    except RepositoryNotFoundError as error:
        if isinstance(try_to_load_from_cache(repo, "open_clip_config.json"), str):
            return None
        raise ModelNotAvailableError(
            f"there is no {name} for you on the Hugging Face hub: check the name; if it is private "
            "or asks for consent, log in with `hf auth login`"
        ) from error
    except (
        Exception
    ):  # of many kinds; most encoders have no such file, and open_clip tells the rest
        return None
    return config if isinstance(config, dict) and config.get("kind") == KIND else None


def _download(name: str) -> Path | None:
    """The folder where the hub's client keeps a saved model; None where it is none of ours."""
    if hub_config(name) is None:
        return None
    from huggingface_hub import snapshot_download

    repo = name.removeprefix("hf-hub:")
    try:
        return Path(
            snapshot_download(
                repo, allow_patterns=["config.json", "model.safetensors", f"{ENCODER}/*"]
            )
        )
    except Exception as error:
        raise ModelNotAvailableError(
            f"{name} cannot be downloaded: {str(error).strip().splitlines()[0][:200]}; connect "
            "once so that it is kept here"
        ) from error


def save_model(model: VideoModel, folder: str | os.PathLike[str]) -> None:
    """Write a model's own weights and config to a new folder, all or nothing.

    The encoder is named with the digest of its weights, not copied; one that lies in the folder
    already goes with it.

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
    own = model.encoder.name == encoder_within(folder)
    config = {
        "kind": KIND,
        "encoder": ENCODER if own else model.encoder.name,
        "encoder_fingerprint": model.encoder.fingerprint,
        "temporal": model.temporal.config.to_dict(),
        "labels": list(model.labels),
        "multi_label": model.multi_label,
    }
    if own:
        config["own_encoder"] = True
    if model.frame_labels is not None:
        config["frame_labels"] = model.frame_labels.config.to_dict()
    if model.fusion != "none":
        config["fusion"] = model.fusion
    if model.importance is not None:
        config["importance"] = model.importance.temporal.config.to_dict()
    tensors = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def list_models() -> list[str]:
    """Every name that `load_model` knows without a folder: `tiny` first."""
    return list_encoders()


def find_decoder(encoder: FrameEncoder) -> Describer | None:
    """The decoder that lies beside an encoder's weights, or None where there is none.

    Raises:
        ModelNotAvailableError: it is not whole, or belongs to another encoder.
    """
    folder = local_folder(encoder.name)
    if folder is None or not (folder / DECODER_CONFIG).is_file():
        return None
    return load_decoder(folder, encoder)


def load_decoder(folder: str | os.PathLike[str], encoder: FrameEncoder) -> Describer:
    """Load the decoder that lies in an encoder's folder, onto the encoder's device.

    Raises:
        ModelNotAvailableError: there is none, it is not whole, or it belongs to another encoder.
    """
    path = Path(folder)
    if not (path / DECODER_CONFIG).is_file():
        raise ModelNotAvailableError(
            f"no {DECODER_CONFIG} in {path}: this model describes nothing; train a decoder with "
            "python -m videomm.training.describe"
        )
    try:
        config = json.loads((path / DECODER_CONFIG).read_text())
        kind = config.get("kind") if isinstance(config, dict) else None
        if kind != DECODER_KIND:
            raise ModelNotAvailableError(
                f"{path / DECODER_CONFIG} has kind {kind!r}, expected {DECODER_KIND!r}"
            )
        if config["encoder_fingerprint"] != encoder.fingerprint:
            raise ModelNotAvailableError(
                f"the decoder in {path} was trained on an encoder with weights "
                f"{config['encoder_fingerprint']}, here they are {encoder.fingerprint}; train it "
                "again with python -m videomm.training.describe"
            )
        decoder = TextDecoder(DecoderConfig.from_dict(config["decoder"]))
        decoder.load_state_dict(load_file(path / DECODER_WEIGHTS))
        tokenizer = Tokenizer.from_file(str(path / DECODER_TOKENIZER))
        if tokenizer.get_vocab_size() != decoder.config.vocab_size:
            raise ValueError(
                f"{DECODER_TOKENIZER} has {tokenizer.get_vocab_size()} tokens, the decoder "
                f"{decoder.config.vocab_size}"
            )
        return Describer(
            decoder=decoder.to(encoder.device).eval(),
            tokenizer=tokenizer,
            generation=GenerationConfig.from_dict(config["generation"]),
            threshold=float(config["threshold"]),
            encoder_fingerprint=config["encoder_fingerprint"],
        )
    except ModelNotAvailableError:
        raise
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelNotAvailableError(
            f"the decoder in {path} is not whole: {str(error).splitlines()[0][:200]}"
        ) from error


def save_decoder(describer: Describer, folder: str | os.PathLike[str]) -> None:
    """Write a decoder's three files into a folder, weights in half precision, config last."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    state = describer.decoder.state_dict()
    tensors = {key: value.half().contiguous().cpu() for key, value in state.items()}
    config = {
        "kind": DECODER_KIND,
        "encoder_fingerprint": describer.encoder_fingerprint,
        "decoder": describer.decoder.config.to_dict(),
        "generation": describer.generation.to_dict(),
        "threshold": describer.threshold,
    }
    (path / DECODER_CONFIG).unlink(missing_ok=True)
    save_file(tensors, path / DECODER_WEIGHTS)
    (path / DECODER_WEIGHTS).chmod(0o644)
    (path / DECODER_TOKENIZER).write_text(describer.tokenizer.to_str(), encoding="utf-8")
    (path / DECODER_CONFIG).write_text(json.dumps(config, indent=2) + "\n")
