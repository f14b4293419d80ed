"""A model as ONNX files that run without torch, checked against it before they are there."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from videomm import __version__
from videomm.errors import ExportError, InstallationError
from videomm.models.video_model import VideoModel
from videomm.render.folder import check_replaceable, replacing_folder
from videomm.sharing.graphs import (
    CLASSIFIER,
    IMAGE,
    TEXT,
    ClassifierGraph,
    ImageGraph,
    TextGraph,
)
from videomm.sharing.parity import TOLERANCE, greatest_difference, sample_inputs
from videomm.towers.folder import Towers
from videomm.towers.text import read_tokenizer

KIND = "videomm-onnx"
CONFIG, TOKENIZER = "model.json", "tokenizer.json"
ONE_FILE = 2**30  # bytes of weights up to which they lie in the file itself; protobuf ends at 2**31
# Axes whose length is free: (B, N) are videos and frames of each, elsewhere the first is free.
_AXES = {
    IMAGE: ({0: "N"},),
    TEXT: ({0: "M"},),
    CLASSIFIER: ({0: "B", 1: "N"},) * 3,
}
_NAMES: dict[str, tuple[list[str], list[str]]] = {
    IMAGE: (["images"], ["embeddings"]),
    TEXT: (["ids"], ["embeddings"]),
    CLASSIFIER: (["embeddings", "times", "mask"], ["scores", "frame_scores"]),
}
MEANINGS = {
    "images": "RGB frames, resized and cropped as preprocessing says, / 255, less mean, / std",
    "ids": "tokens of texts, cut or padded to this length",
    "embeddings": "unit vectors of the frames, or of the texts",
    "times": "seconds of the frames, from the first one",
    "mask": "true for frames, false for padding; each video needs a frame",
    "scores": "of the labels for each video, from 0 to 1, calibrated",
    "frame_scores": "of the labels at each frame; where mask is false they mean nothing",
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where to.
        config: what its `model.json` holds.
        sizes: bytes of each file.
    """

    folder: Path
    config: dict[str, Any]
    sizes: dict[str, int]


def check_installed() -> None:
    """See that the packages are there that ONNX files are made and checked with.

    Raises:
        InstallationError: one is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InstallationError(
            f"ONNX files need another package: {str(error)[:160]}; pip install 'videomm[onnx]'"
        ) from error


def check_out(folder: Path, *, force: bool) -> None:
    """See that ONNX files may be written there; see `check_replaceable`."""
    ours = {CONFIG, TOKENIZER, *_NAMES, *(f"{name}.data" for name in _NAMES)}
    words = ("an earlier export", "no export's", "exports")
    check_replaceable(folder, lambda name: name in ours, words, force=force)


def export_model(
    model: VideoModel, folder: str | os.PathLike[str], *, force: bool = False
) -> Exported:
    """Write a model as ONNX files into a folder that appears when all is done and checked.

    A model with labels gives `image.onnx` and `classifier.onnx`; one without gives `image.onnx`
    and `text.onnx`, with `tokenizer.json` where the encoder has one. `model.json` says the rest.
    Every file is run in onnxruntime beside torch, on random and on real inputs.

    Args:
        model: on the CPU.
        folder: made anew; its parents too.
        force: replace an earlier export.

    Raises:
        InstallationError: a package is missing.
        InvalidInputError: the folder exists or cannot be written; nothing is left then.
        ExportError: a part cannot be expressed in ONNX, onnxruntime computes something else, or
            the model does more than to classify pictures.
    """
    check_installed()
    if model.fusion != "none" or model.frame_labels is not None or model.importance is not None:
        raise ExportError(
            f"{model.name} reads what is said, labels frames or rates them, which has no ONNX form "
            "here yet; a classifier of pictures has, and so has its encoder"
        )
    target = Path(folder)
    check_out(target, force=force)
    graphs: dict[str, nn.Module] = {IMAGE: ImageGraph(model.encoder.towers)}
    if model.labels:
        graphs[CLASSIFIER] = ClassifierGraph(model)
    else:
        graphs[TEXT] = TextGraph(model.encoder.towers)
    samples = sample_inputs(model)
    with replacing_folder(target) as aside:
        files, differences = {}, {}
        for name, graph in graphs.items():
            _write(graph.eval(), name, samples[name][0], aside)
            session = _open(aside / name)
            differences[name] = greatest_difference(session, model, name, samples[name])
            if not differences[name] <= TOLERANCE:
                raise ExportError(
                    f"{name} of {model.name} differs from torch by {differences[name]:.2g} in "
                    f"onnxruntime, allowed is {TOLERANCE:g}; nothing was written: try other "
                    "versions of torch, onnxscript and onnxruntime"
                )
            files[name] = {"inputs": _describe(session.get_inputs())}
            files[name]["outputs"] = _describe(session.get_outputs())
        config = _config(model, files, differences, aside)
        (aside / CONFIG).write_text(
            json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
        sizes = {path.name: path.stat().st_size for path in sorted(aside.iterdir())}
    return Exported(target, config, sizes)


@torch.no_grad()
def _write(graph: nn.Module, name: str, inputs: Sequence[Tensor], folder: Path) -> None:
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    given, found = _NAMES[name]
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    try:
        with warnings.catch_warnings():
            # It warns that axes of one name have one length, as they should.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                tuple(inputs),
                input_names=given,
                output_names=found,
                dynamic_shapes=_AXES[name],
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        # Else each step tells from which line of which file on this machine it comes.
        ClearMetadataAndDocStringPass()(program.model)
        program.save(folder / name, external_data=size > ONE_FILE)
    except OSError:
        raise
    except Exception as error:  # torch raises of many kinds
        raise ExportError(
            f"{name} cannot be made of this model: {str(error).strip().splitlines()[0][:200]}; "
            "try another version of torch or another encoder"
        ) from error


def _open(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def _describe(values: Sequence[Any]) -> dict[str, Any]:
    return {
        item.name: {"type": item.type, "shape": item.shape, "meaning": MEANINGS[item.name]}
        for item in values
    }


def _config(
    model: VideoModel, files: dict[str, Any], differences: dict[str, float], folder: Path
) -> dict[str, Any]:
    """What `model.json` says; writes the tokenizer beside it where a text tower needs one."""
    encoder = model.encoder
    # A folder's place on this machine is nobody's business, and does not last.
    config: dict[str, Any] = {
        "kind": KIND,
        "videomm": __version__,
        "model": public_name(model.name),
        "encoder": f"{public_name(encoder.name)}@{encoder.fingerprint}",
        "files": files,
        "preprocessing": encoder.preprocessing.to_dict(),
        "tolerance": TOLERANCE,
        "greatest_difference": differences,
    }
    if model.labels:
        return config | {"labels": list(model.labels), "multi_label": model.multi_label}
    towers = encoder.towers
    config |= {"logit_scale": encoder.logit_scale, "logit_bias": encoder.logit_bias}
    if isinstance(towers, Towers):
        tokenizer = read_tokenizer(towers.folder / TOKENIZER, towers.context_length)
        tokenizer.save(str(folder / TOKENIZER))
        return config | {"tokenizer": TOKENIZER}
    return config | {"tokenizer": "open_clip.get_tokenizer, for this encoder"}


def public_name(name: str) -> str:
    """A model's name without the place of its folder, where it is one."""
    path = Path(name.removeprefix("local-dir:"))
    return path.resolve().name if path.is_dir() else name
