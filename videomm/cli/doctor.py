"""`videomm doctor`"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import typer

from videomm.cli import options
from videomm.cli.output import Output

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "transformers", "av", "numpy")
_NMS_CURE = (
    "torch and torchvision come from different builds: uninstall both, then install both in one "
    "command from one index (pip install --force-reinstall torch torchvision)"
)


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


def command(as_json: options.Json = False) -> None:
    """Check the installation: versions, decoders, device, cache, the embedded model.

    Example: videomm doctor
    """
    output = Output(as_json=as_json)
    failed = False
    for run in (_python, _packages, _torch_pair, _decord, _ffmpeg, _device, _cache, _tiny):
        check = _run(run)
        failed = failed or not check.ok
        if as_json:
            output.record(vars(check))
            continue
        output.text(f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.detail}")
        if check.cure:
            output.text(f"     cure: {check.cure}")
    raise typer.Exit(int(failed))


def _run(check: Callable[[], Check]) -> Check:
    """A broken installation can fail anywhere, in any way; the report goes on."""
    try:
        return check()
    except Exception as error:
        name = check.__name__.strip("_").replace("_", " ")
        line = (str(error).splitlines() or [""])[0][:200]
        cure = _NMS_CURE if "torchvision::nms" in str(error) else ""
        return Check(name, False, f"{type(error).__name__}: {line}", cure)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", True, f"{detail}, videomm {_version('videomm') or 'not installed'}")


def _packages() -> Check:
    found = {name: _version(name) for name in _PACKAGES}
    missing = [name for name, value in found.items() if value is None]
    detail = ", ".join(f"{name} {value or 'MISSING'}" for name, value in found.items())
    cure = f"pip install {' '.join(missing)}" if missing else ""
    return Check("packages", not missing, detail, cure)


def _torch_pair() -> Check:
    import torch
    import torchvision

    torch.ops.torchvision.nms  # noqa: B018 - raises where the two do not fit
    pair = f"torch {torch.__version__} with torchvision {torchvision.__version__}"
    return Check("torch pair", True, pair)


def _decord() -> Check:
    plain, fork = _version("decord"), _version("decord2")
    if plain and fork:
        return Check(
            "decord",
            False,
            f"decord {plain} and decord2 {fork} both install the module decord",
            "pip uninstall -y decord decord2, then pip install "
            + ("decord" if platform.machine() == "x86_64" else "decord2"),
        )
    if not plain and not fork:
        return Check("decord", True, "not installed; PyAV reads every file")
    import decord

    return Check("decord", True, f"{'decord' if plain else 'decord2'} {decord.__version__}")


def _ffmpeg() -> Check:
    import av

    parts = {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
    return Check("PyAV", True, f"{av.__version__} with libavcodec {parts.get('libavcodec', '?')}")


def _device() -> Check:
    import torch

    from videomm.hub import pick_device

    device = pick_device()
    return Check("device", True, f"{device} ({torch.get_num_threads()} threads)")


def _cache() -> Check:
    from videomm.cache import TimelineCache

    usage = TimelineCache().usage()
    held = f"{usage.timelines} timelines, {usage.num_bytes / 1e6:.1f} MB"
    return Check("cache", True, f"{usage.directory}, {held}")


def _tiny() -> Check:
    from videomm.encoder import load_encoder

    encoder = load_encoder("tiny")
    encoder.encode_text(["a cat"])
    return Check("tiny", True, f"the embedded model loads: {encoder.id}, {encoder.dim}-d")
