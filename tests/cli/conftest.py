"""The command in this process, with the embedded model loaded once."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass

import pytest

from videomm.cli import main as cli


@dataclass
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def tiny_model(tiny):
    from videomm.models.video_model import VideoModel

    return VideoModel(tiny)


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("warm-cache")


@pytest.fixture(autouse=True)
def shared_cache(request, own_cache, warm_cache, monkeypatch):
    """Commands share a cache, so that the demo clip is decoded once; `own_cache` asks for none."""
    if "own_cache" not in request.node.function.__code__.co_varnames:
        monkeypatch.setenv("VIDEOMM_CACHE", str(warm_cache))


@pytest.fixture
def videomm(monkeypatch, capsys, request):
    """Run `videomm ARGS...` as the entry point does."""

    def load_model(name, device):
        from videomm.hub import load_model

        if name == "tiny" and device is None:
            return request.getfixturevalue("tiny_model")
        return load_model(name, device)

    def run(*args: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr("videomm.pipeline.load_model", load_model)
        monkeypatch.setattr(sys, "argv", ["videomm", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as caught:
            cli.main()
        code = caught.value.code
        captured = capsys.readouterr()
        return Done(int(code or 0), captured.out, captured.err)

    return run
