"""Speech to timed texts with faster-whisper; the only module that knows it (extra `speech`)."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from videomm.cache import TimelineCache
from videomm.config import DecodingConfig
from videomm.errors import InstallationError, ModelNotAvailableError
from videomm.video.worker import default_worker

WEIGHTS = "model.bin"


def find_weights(name: str, cache: TimelineCache | None = None) -> tuple[Path, str]:
    """The folder of a speech model, and a digest of its weights; nothing is downloaded.

    Args:
        name: a model of faster-whisper that is in the Hugging Face cache, or a folder.
        cache: keeps the digest; without one it is empty.

    Raises:
        InstallationError: faster-whisper is not installed.
        ModelNotAvailableError: the name is unknown, or its weights are not here.
    """
    try:
        import faster_whisper
    except ImportError as error:
        raise InstallationError(
            "--transcribe needs faster-whisper, which is not installed; pip install "
            "'videomm[speech]'"
        ) from error
    folder = Path(name)
    if not folder.is_dir():
        known = faster_whisper.available_models()
        if name not in known:
            raise ModelNotAvailableError(
                f"unknown speech model {name!r}: allowed are {', '.join(known)}, or a folder with "
                f"{WEIGHTS}"
            )
        try:
            folder = Path(faster_whisper.download_model(name, local_files_only=True))
        except Exception as error:  # whatever the hub's client raises
            raise _not_here(name) from error
    if not (folder / WEIGHTS).is_file():
        raise _not_here(name)
    return folder, "" if cache is None else cache.content_digest(folder / WEIGHTS)


def _not_here(name: str) -> ModelNotAvailableError:
    model = "base" if Path(name).is_dir() else name
    return ModelNotAvailableError(
        f"the weights of the speech model {name!r} are not here; fetch them once with python -c "
        f"\"import faster_whisper; faster_whisper.download_model('{model}')\", or give a folder "
        f"with {WEIGHTS} as --speech-model"
    )


@lru_cache(maxsize=1)
def _load(folder: Path) -> Any:
    import faster_whisper

    try:
        return faster_whisper.WhisperModel(str(folder), local_files_only=True)
    except Exception as error:  # ctranslate2 raises RuntimeError, tokenizers a bare Exception
        raise ModelNotAvailableError(
            f"the speech model in {folder} cannot be loaded: {str(error).splitlines()[0][:200]}"
        ) from error


def transcribe(
    path: str, duration: float, name: str, folder: Path, decoding: DecodingConfig
) -> dict[str, Any]:
    """What is said in a video, as `DecodeWorker.subtitles` answers.

    Stretches without a voice are left out, in which Whisper hears things.

    Args:
        path: the video.
        duration: of it in seconds.
        name: of the speech model.
        folder: of its weights.
        decoding: the deadline for decoding the sound.

    Raises:
        ModelNotAvailableError: the folder holds no model that can be loaded.
        VideoError: the kind says what is wrong with the video.
    """
    samples = default_worker().sound(path, duration, decoding)
    if not len(samples):
        note = "there is no sound in it to transcribe"
        return {"subtitles": [], "source": "", "warnings": [note]}
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    model = _load(folder)
    try:
        segments, info = model.transcribe(samples.astype(np.float32) / 32768, vad_filter=True)
        items = [
            (max(0.0, part.start), max(0.0, part.start, part.end), part.text.strip())
            for part in segments
            if part.text.strip()
        ]
    except (RuntimeError, ValueError) as error:
        raise ModelNotAvailableError(
            f"the speech model in {folder} fails: {str(error).splitlines()[0][:200]}"
        ) from error
    source = f"speech model {Path(name).name} ({info.language})"
    return {"subtitles": sorted(items), "source": source, "warnings": []}
