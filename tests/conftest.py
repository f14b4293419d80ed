"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
# A busy machine is no failure: nothing that is timed is a test.
settings.register_profile("videomm", deadline=None)
settings.load_profile("videomm")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real clips and images, which lie outside the project; tests without them are skipped."""
    folder = Path(os.environ.get("VIDEOMM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}: set VIDEOMM_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny():
    """The embedded model's encoder."""
    from videomm.encoder import load_encoder

    return load_encoder("tiny")


@pytest.fixture(autouse=True)
def seeded():
    """What a test draws at random is the same in every run."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Each test has an empty cache of its own, never the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VIDEOMM_CACHE", str(folder))
    return folder
