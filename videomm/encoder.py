"""The image and text towers that share one space. The only module that knows open_clip.

open_clip takes seconds to import, so it is imported for the models that need it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from videomm.errors import InstallationError, InvalidInputError, ModelNotAvailableError
from videomm.preprocess import Preprocessing
from videomm.text_models import text_settings
from videomm.towers.folder import Towers, is_known
from videomm.towers.image import LiteTower
from videomm.towers.text import Tokenize
from videomm.types import Array

TINY_DIR = Path(__file__).parent / "weights" / "tiny"
# Averaged over when a label is embedded; `tiny` learns labels in these, too.
LABEL_TEMPLATES = ("a photo of {}", "a video of {}", "a picture of {}", "an image of {}", "{}")
_REMEMBERED_TEXTS = 32

logger = logging.getLogger("videomm")


class FrameEncoder:
    """Frames and texts to unit vectors of one space.

    Args:
        model: an open_clip model, or one with its `encode_image`, `encode_text`, `logit_scale`
            and `visual.preprocess_cfg`.
        name: what results call this encoder.
        device: where it runs.
        load_tokenizer: called when the first text comes; its result turns texts into token ids.

    Attributes:
        dim: D, the width of the shared space.
        preprocessing: makes images ready for the image tower.
        image_size: (height, width) that the image tower takes.
        logit_scale: the trained inverse temperature of the similarity.
        logit_bias: the trained bias of a sigmoid-trained model (SigLIP), or None.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        device: str | torch.device = "cpu",
        load_tokenizer: Callable[[], Tokenize] | None = None,
    ) -> None:
        self.name = name
        self.device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self.device)
        self._model.visual.to(memory_format=torch.channels_last)
        self._load_tokenizer = load_tokenizer
        self._tokenize: Tokenize | None = None
        self._known_texts: dict[tuple[tuple[str, ...], tuple[str, ...]], Array] = {}
        preprocess: dict[str, Any] = dict(model.visual.preprocess_cfg)  # type: ignore[union-attr, arg-type]
        self.preprocessing = Preprocessing(preprocess)
        self.image_size = self.preprocessing.size
        self.logit_scale = float(model.logit_scale.exp())  # type: ignore[operator]
        bias = getattr(model, "logit_bias", None)
        self.logit_bias = None if bias is None else float(bias)
        self.fingerprint = _fingerprint(model.visual, preprocess)  # type: ignore[arg-type]
        blank = np.zeros((1, *self.image_size, 3), np.uint8)
        self.dim = self.encode_frames(blank).shape[1]

    @property
    def id(self) -> str:
        """Name and a digest of the image tower's weights and preprocessing."""
        return f"{self.name}@{self.fingerprint}"

    @property
    def towers(self) -> nn.Module:
        """The model itself, with `encode_image` and `encode_text`; float32 throughout."""
        return self._model

    def preprocess(self, pixels: Array) -> torch.Tensor:
        """What the model's own PIL transform gives, computed on a batch of tensors.

        Args:
            pixels: uint8 (N, H, W, 3) RGB.

        Returns:
            float32 (N, 3, h, w) on the encoder's device.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
            raise InvalidInputError(
                f"frames must be uint8 of shape (N, H, W, 3), got {pixels.dtype} {pixels.shape}"
            )
        batch = torch.from_numpy(np.array(pixels)).to(self.device).permute(0, 3, 1, 2)
        return self.preprocessing(batch).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode_frames(self, pixels: Array, batch_size: int = 32) -> Array:
        """Embed frames.

        On processors with bfloat16 units the matrix products use them, with float32 sums: about
        twice as fast, and equal to plain float32 to cosine 0.9999.

        Args:
            pixels: uint8 (N, H, W, 3) RGB.
            batch_size: frames a forward pass.

        Returns:
            float32 (N, D), L2-normalised.
        """
        if len(pixels) == 0:
            raise InvalidInputError("no frames to encode: got an array of length 0")
        parts = []
        for start in range(0, len(pixels), batch_size):
            images = self.preprocess(pixels[start : start + batch_size])
            with _quick_matmul(self.device):
                features = self._model.encode_image(images)  # type: ignore[operator]
            parts.append(_unit(features).cpu())
        return np.asarray(torch.cat(parts).numpy())

    @torch.inference_mode()
    def encode_spatial(self, pixels: Array, batch_size: int = 32) -> Array:
        """What the image tower sees at each place of its last, coarsest map, before pooling.

        Args:
            pixels: uint8 (N, H, W, 3) RGB.
            batch_size: frames a forward pass.

        Returns:
            float32 (N, P, C): P places row by row, 64 of 320 channels for `tiny`.

        Raises:
            InvalidInputError: the image tower is not of the embedded model's kind.
        """
        visual = self._model.visual
        if not isinstance(visual, LiteTower):
            raise InvalidInputError(
                f"the image tower of {self.name} gives no places; expected one like tiny's"
            )
        parts = []
        for start in range(0, len(pixels), batch_size):
            images = self.preprocess(pixels[start : start + batch_size])
            parts.append(visual.places(images).flatten(2).mT.float().cpu())
        return np.asarray(torch.cat(parts).numpy())

    @torch.inference_mode()
    def encode_text(
        self, texts: Sequence[str], templates: Sequence[str] = ("{}",), batch_size: int = 256
    ) -> Array:
        """Embed texts, each averaged over prompt templates (Radford et al. 2021, section 3.1.4).

        The last few requests are remembered: one set of labels usually meets many videos.

        Args:
            texts: M texts.
            templates: formats with one `{}`; the unit vectors of a text's prompts are averaged
                and normalised again.
            batch_size: prompts a forward pass.

        Returns:
            float32 (M, D), L2-normalised.
        """
        if not texts:
            raise InvalidInputError("no texts to encode")
        bad = [item for item in templates if item.count("{}") != 1]
        if bad or not templates:
            raise InvalidInputError(f"a template needs exactly one {{}}, got {bad or templates!r}")
        request = (tuple(texts), tuple(templates))
        if request in self._known_texts:
            return self._known_texts[request]
        prompts = [item.replace("{}", text) for text in texts for item in templates]
        tokens = self.tokenize(prompts).to(self.device)
        parts = [
            _unit(self._model.encode_text(chunk))  # type: ignore[operator]
            for chunk in tokens.split(batch_size)
        ]
        vectors = torch.cat(parts).view(len(texts), len(templates), -1).mean(dim=1)
        embedded = np.asarray(_unit(vectors).cpu().numpy())
        embedded.flags.writeable = False
        if len(self._known_texts) >= _REMEMBERED_TEXTS:
            self._known_texts.pop(next(iter(self._known_texts)))
        self._known_texts[request] = embedded
        return embedded

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids int64 (M, L) of M texts, as the text tower takes them."""
        if self._tokenize is None:
            if self._load_tokenizer is None:
                raise ModelNotAvailableError(f"{self.name} was made without a tokenizer")
            try:
                self._tokenize = self._load_tokenizer()
            except Exception as error:
                raise ModelNotAvailableError(
                    f"the tokenizer of {self.name} cannot be loaded: {_first_line(error)}; "
                    "connect once so that it is downloaded, or use --model tiny"
                ) from error
        return self._tokenize(texts)


def load_encoder(name: str = "tiny", device: str | torch.device = "cpu") -> FrameEncoder:
    """Load an encoder with its trained weights.

    Args:
        name: `tiny` (embedded), `ARCH/TAG` as in `videomm models`, `hf-hub:ORG/NAME`,
            `local-dir:PATH` or the path of a folder with an `open_clip_config.json`.
        device: such as `cpu`, `cuda` or `mps`.

    Raises:
        ModelNotAvailableError: the name is unknown or its weights cannot be had; random weights
            never stand in for them.
    """
    folder = local_folder(name)
    model: nn.Module
    load_tokenizer: Callable[[], Tokenize]
    try:
        if folder is not None and is_known(folder):
            model = Towers(folder, torch.device(device))
            load_tokenizer = model.load_tokenizer
        else:
            import open_clip

            arch, tag = open_clip_name(name)
            more = {} if folder is None else text_settings(folder)
            model = open_clip.create_model(arch, pretrained=tag, require_pretrained=True, **more)
            load_tokenizer = partial(open_clip.get_tokenizer, arch)
    except ModelNotAvailableError:
        raise
    except Exception as error:
        if "torchvision::nms" in str(error):
            raise InstallationError(
                "torch and torchvision do not fit together (operator torchvision::nms does not "
                "exist): install both from one index, see videomm doctor"
            ) from error
        raise ModelNotAvailableError(
            f"the weights of {name!r} cannot be loaded here: {_first_line(error)}; connect once "
            "so that they are downloaded, give a folder as local-dir:PATH, or use --model tiny"
        ) from error
    return FrameEncoder(model, name, device, load_tokenizer)


def list_encoders() -> list[str]:
    """Names that `load_encoder` knows: `tiny`, then every `ARCH/TAG` of open_clip."""
    import open_clip

    return ["tiny", *(f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained())]


def open_clip_name(name: str) -> tuple[str, str | None]:
    """What open_clip calls an encoder: its model, whose tokenizer goes by that name too, and tag.

    Raises:
        ModelNotAvailableError: the name is unknown.
    """
    folder = local_folder(name)
    # Absolute, since a transformers text tower resolves its own files against it.
    return _arch(name) if folder is None else (f"local-dir:{folder.resolve()}", None)


def local_folder(name: str) -> Path | None:
    """The folder that an encoder's name stands for; None where it names no folder.

    Raises:
        ModelNotAvailableError: the folder is not an encoder's.
    """
    if name == "tiny":
        folder = TINY_DIR
    elif name.startswith("local-dir:"):
        folder = Path(name.removeprefix("local-dir:"))
    elif not name.startswith("hf-hub:") and Path(name).is_dir():
        folder = Path(name)
    else:
        return None
    if not (folder / "open_clip_config.json").is_file():
        raise ModelNotAvailableError(
            f"{name}: no open_clip_config.json in {folder}; a local encoder is a folder with "
            "open_clip_config.json, open_clip_model.safetensors and its tokenizer"
        )
    return folder


def _arch(name: str) -> tuple[str, str | None]:
    """Turn a name into open_clip's model name, which its tokenizer goes by as well, and tag."""
    import open_clip

    if name.startswith("hf-hub:"):
        return name, None
    arch, _, tag = name.partition("/")
    if tag and (arch, tag) in open_clip.list_pretrained():
        return arch, tag
    near = get_close_matches(name, list_encoders(), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ModelNotAvailableError(
        f"unknown model {name!r}: allowed are tiny, ARCH/TAG, hf-hub:ORG/NAME and local-dir:PATH"
        f"{hint} (videomm models lists them)"
    )


def _fingerprint(visual: nn.Module, preprocess: dict[str, Any]) -> str:
    """Digest of the weights and settings that decide an image's embedding."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps(preprocess, sort_keys=True, default=str).encode())
    for key, tensor in sorted(visual.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy())
    return digest.hexdigest()


@contextmanager
def _quick_matmul(device: torch.device) -> Iterator[None]:
    """Let float32 products on the CPU run in bfloat16 with float32 sums; a process-wide switch."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cpu":
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(vectors.float(), dim=-1)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
