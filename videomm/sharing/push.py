"""A trained model's folder to the Hugging Face hub: what others need, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from videomm.encoder import local_folder
from videomm.errors import InvalidInputError, UploadError
from videomm.hub import ENCODER, encoder_within, load_model

# The split, the settings, the figures and the report name the user's files, or show them.
SHARED = ("README.md", "config.json", ENCODER, "labels.txt", "model.safetensors")


@dataclass(frozen=True)
class Pushed:
    """What became of a folder.

    Attributes:
        repo: owner and name on the hub.
        url: where to look at it.
        uploaded: names of files.
        left_out: names of the others.
    """

    repo: str
    url: str
    uploaded: tuple[str, ...]
    left_out: tuple[str, ...]


def push_model(
    folder: str | os.PathLike[str], repo: str, *, private: bool = False, progress: bool = True
) -> Pushed:
    """Upload a model that `train_classifier` or `save_model` wrote.

    The model is loaded first, so that no half of one is shared.

    Args:
        folder: of the model.
        repo: OWNER/NAME; made where it is not there, else a new version of it.
        private: make it for the owner's eyes alone.
        progress: draw progress bars on stderr.

    Raises:
        InvalidInputError: the folder is no trained model's, or only this machine has its encoder.
        ModelNotAvailableError: the model is not whole.
        UploadError: no token, no connection, or the hub refuses.
    """
    source = Path(folder)
    _check_model(source)
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars

    if not progress and not are_progress_bars_disabled():
        disable_progress_bars()
    if get_token() is None:
        raise UploadError(
            "no token of the Hugging Face hub is here: log in with `hf auth login`, or set HF_TOKEN"
        )
    api = HfApi(library_name="videomm")
    try:
        made = api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(made.repo_id).private:
            raise UploadError(
                f"{made.repo_id} exists and is public, nothing was uploaded; make it private in "
                "its settings on the hub, give another name, or leave --private out"
            )
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=source,
            allow_patterns=[*SHARED, f"{ENCODER}/*"],
            commit_message="Upload a model of videomm",
        )
    except UploadError:
        raise
    except Exception as error:  # of the hub's client, its HTTP library and its storage
        raise UploadError(f"{repo} was not uploaded: {_reason(error)}") from error
    names = sorted(item.name for item in source.iterdir())
    uploaded = tuple(name for name in names if name in SHARED)
    left_out = tuple(name for name in names if name not in SHARED)
    return Pushed(made.repo_id, str(made), uploaded, left_out)


def _check_model(folder: Path) -> None:
    if not (folder / "config.json").is_file() and not (folder / "settings.json").is_file():
        raise InvalidInputError(
            f"{str(folder)!r} is no folder of videomm train: it has no config.json; give such a "
            "folder"
        )
    encoder = load_model(str(folder), "cpu").encoder.name
    if encoder not in ("tiny", encoder_within(folder)) and local_folder(encoder) is not None:
        raise InvalidInputError(
            f"{str(folder)!r} was trained on the encoder in {encoder!r}, which only this machine "
            "has; train it on tiny, ARCH/TAG or hf-hub:ORG/NAME to share it"
        )


def _reason(error: Exception) -> str:
    """One line of what went wrong and what to try."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the hub does not know this token; log in again with `hf auth login`"
    if status == 403:
        return (
            "this token may not write there; take your own name or an organisation's that you "
            "belong to, and a token with the right to write"
        )
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return f"{line}; check the name (OWNER/NAME), the connection and HF_HUB_OFFLINE, and try again"
