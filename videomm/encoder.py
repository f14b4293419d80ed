"""The image and text towers that share one space. The only module that knows open_clip."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import (
    MaybeConvertMode,
    PreprocessCfg,
    ResizeKeepRatio,
    image_transform_v2,
)
from PIL import Image
from torch import nn
from torchvision.transforms import (
    Compose,
    InterpolationMode,
    Normalize,
    Resize,
    ToTensor,
    v2,
)

from videomm.errors import InstallationError, InvalidInputError, ModelNotAvailableError
from videomm.text_models import text_settings
from videomm.types import Array

TINY_DIR = Path(__file__).parent / "weights" / "tiny"
DEFAULT_TEMPLATES = ("{}", "a photo of {}", "a video of {}")
_REMEMBERED_TEXTS = 32

logger = logging.getLogger("videomm")


class FrameEncoder:
    """Frames and texts to unit vectors of one space.

    Args:
        model: an open_clip model with `encode_image`, `encode_text` and `visual.preprocess_cfg`.
        name: what results call this encoder.
        device: where it runs.
        tokenizer_name: what `open_clip.get_tokenizer` loads when the first text comes.

    Attributes:
        dim: D, the width of the shared space.
        image_size: (height, width) that the image tower takes.
        logit_scale: the trained inverse temperature of the similarity.
        logit_bias: the trained bias of a sigmoid-trained model (SigLIP), or None.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        device: str | torch.device = "cpu",
        tokenizer_name: str | None = None,
    ) -> None:
        self.name = name
        self.device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self.device)
        self._model.visual.to(memory_format=torch.channels_last)
        self._tokenizer_name = tokenizer_name
        self._tokenizer: Any = None
        self._known_texts: dict[tuple[tuple[str, ...], tuple[str, ...]], Array] = {}
        preprocess: dict[str, Any] = dict(model.visual.preprocess_cfg)  # type: ignore[union-attr, arg-type]
        size = preprocess["size"]
        self.image_size = (size, size) if isinstance(size, int) else (size[0], size[1])
        self._resize, self._normalize = _tensor_transform(preprocess)
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

    def preprocess(self, pixels: Array) -> torch.Tensor:
        """What the model's own PIL transform gives, computed on a batch of tensors.

        Resize with antialias, clamp, round to uint8, crop, scale to [0, 1], normalise.

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
        small: torch.Tensor = self._resize(batch)
        scaled: torch.Tensor = self._normalize(small.float().div_(255.0))
        return scaled.contiguous(memory_format=torch.channels_last)

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
        tokens = self._tokenize(prompts).to(self.device)
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

    def _tokenize(self, prompts: list[str]) -> torch.Tensor:
        if self._tokenizer is None:
            if self._tokenizer_name is None:
                raise ModelNotAvailableError(f"{self.name} was made without a tokenizer")
            try:
                self._tokenizer = open_clip.get_tokenizer(self._tokenizer_name)
            except Exception as error:
                raise ModelNotAvailableError(
                    f"the tokenizer of {self.name} cannot be loaded: {_first_line(error)}; "
                    "connect once so that it is downloaded, or use --model tiny"
                ) from error
        tokens: torch.Tensor = self._tokenizer(prompts)
        return tokens


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
    arch, tag, tokenizer = _resolve(name)
    try:
        local = arch.removeprefix("local-dir:")
        more = text_settings(Path(local)) if local != arch else {}
        model = open_clip.create_model(arch, pretrained=tag, require_pretrained=True, **more)
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
    return FrameEncoder(model, name, device, tokenizer)


def list_encoders() -> list[str]:
    """Names that `load_encoder` knows: `tiny`, then every `ARCH/TAG` of open_clip."""
    return ["tiny", *(f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained())]


def _resolve(name: str) -> tuple[str, str | None, str]:
    """Turn a name into open_clip's (model name, tag, tokenizer name)."""
    if name == "tiny":
        return _local_dir(TINY_DIR, name)
    if name.startswith("hf-hub:"):
        return name, None, name
    if name.startswith("local-dir:"):
        return _local_dir(Path(name.removeprefix("local-dir:")), name)
    if Path(name).is_dir():
        return _local_dir(Path(name), name)
    arch, _, tag = name.partition("/")
    if tag and (arch, tag) in open_clip.list_pretrained():
        return arch, tag, arch
    near = get_close_matches(name, list_encoders(), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ModelNotAvailableError(
        f"unknown model {name!r}: allowed are tiny, ARCH/TAG, hf-hub:ORG/NAME and local-dir:PATH"
        f"{hint} (videomm models lists them)"
    )


def _local_dir(folder: Path, name: str) -> tuple[str, None, str]:
    if not (folder / "open_clip_config.json").is_file():
        raise ModelNotAvailableError(
            f"{name}: no open_clip_config.json in {folder}; a local encoder is a folder with "
            "open_clip_config.json, open_clip_model.safetensors and its tokenizer"
        )
    # Absolute, since a transformers text tower resolves its own files against it.
    resolved = f"local-dir:{folder.resolve()}"
    return resolved, None, resolved


def _tensor_transform(preprocess: dict[str, Any]) -> tuple[Compose, Normalize]:
    """Split open_clip's evaluation transform into geometry on uint8 tensors and normalisation.

    torchvision's v2 resize works on uint8 tensors as PIL does on pictures: antialiased, clamped
    and rounded. The other steps of open_clip's own transform take tensors unchanged.
    """
    config = PreprocessCfg(**preprocess)
    *steps, normalize = image_transform_v2(config, is_train=False).transforms
    geometry = [
        _tensor_resize(step) if isinstance(step, (Resize, ResizeKeepRatio)) else step
        for step in steps
        if not isinstance(step, (MaybeConvertMode, ToTensor))
    ]
    if not isinstance(normalize, Normalize) or len(steps) - len(geometry) != 2:
        raise InstallationError(
            "this version of open_clip builds its image transform in an unknown way: "
            f"{[type(step).__name__ for step in steps]}; install open_clip_torch 3.3"
        )
    return Compose(geometry), normalize


def _tensor_resize(step: Resize | ResizeKeepRatio) -> Callable[[torch.Tensor], torch.Tensor]:
    def size_of(have: tuple[int, int]) -> tuple[int, int]:
        if isinstance(step, Resize):
            if not isinstance(step.size, int) and len(step.size) == 2:
                return step.size[0], step.size[1]
            short = step.size if isinstance(step.size, int) else step.size[0]
            # As torchvision: the longer side is cut off, not rounded.
            return (
                (short, int(short * have[1] / have[0]))
                if have[0] <= have[1]
                else (int(short * have[0] / have[1]), short)
            )
        ratios = [one / want for one, want in zip(have, step.size, strict=True)]
        ratio = max(ratios) if step.longest else min(ratios)
        return round(have[0] / ratio), round(have[1] / ratio)

    def resize(images: torch.Tensor) -> torch.Tensor:
        have = (images.shape[-2], images.shape[-1])
        size = size_of(have)
        if _pillow_goes_down_first(have, size, step.interpolation):
            images = v2.functional.resize(
                images, [size[0], have[1]], step.interpolation, antialias=True
            )
        return v2.functional.resize(images, list(size), step.interpolation, antialias=True)

    return resize


@lru_cache(maxsize=256)
def _pillow_goes_down_first(
    have: tuple[int, int], size: tuple[int, int], interpolation: InterpolationMode
) -> bool:
    """Whether Pillow resizes columns before rows here: it rounds in between, so the order shows.

    Versions of Pillow differ in when they do, so it is asked with a picture of that shape.
    """
    if have[0] == size[0] or have[1] == size[1]:
        return False
    noise = torch.randint(256, (3, *have), dtype=torch.uint8, generator=torch.Generator())

    def resized(picture: Any, size: tuple[int, int]) -> Any:
        return v2.functional.resize(picture, list(size), interpolation, antialias=True)

    picture = Image.fromarray(noise.permute(1, 2, 0).numpy())
    expected = torch.from_numpy(np.array(resized(picture, size))).permute(2, 0, 1)
    across_first = resized(noise, size)
    down_first = resized(resized(noise, (size[0], have[1])), size)
    wrong = [int((found != expected).sum()) for found in (across_first, down_first)]
    return wrong[1] < wrong[0]


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
