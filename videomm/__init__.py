"""videomm: classify, summarise and question video files, offline.

>>> import videomm
>>> pipe = videomm.load("tiny")
>>> pipe.classify("clip.mp4", ["a cat", "a rocket launch"])

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videomm.cache import TimelineCache as TimelineCache
    from videomm.config import ClassifyConfig as ClassifyConfig
    from videomm.config import DecodingConfig as DecodingConfig
    from videomm.config import SamplingConfig as SamplingConfig
    from videomm.config import SummarizeConfig as SummarizeConfig
    from videomm.encoder import FrameEncoder as FrameEncoder
    from videomm.encoder import load_encoder as load_encoder
    from videomm.errors import VideommError as VideommError
    from videomm.hub import list_models as list_models
    from videomm.hub import load_model as load_model
    from videomm.hub import save_model as save_model
    from videomm.pipeline import VideoPipeline as VideoPipeline
    from videomm.pipeline import load as load
    from videomm.timeline import build_timeline as build_timeline
    from videomm.types import Answer as Answer
    from videomm.types import Classification as Classification
    from videomm.types import Frames as Frames
    from videomm.types import Keyframe as Keyframe
    from videomm.types import Label as Label
    from videomm.types import Segment as Segment
    from videomm.types import Summary as Summary
    from videomm.types import Timeline as Timeline
    from videomm.types import VideoInfo as VideoInfo
    from videomm.video.reader import VideoReader as VideoReader
    from videomm.video.reader import open_video as open_video

__version__ = "0.1.0"

_HOMES = {
    "Answer": "types",
    "ClassifyConfig": "config",
    "Classification": "types",
    "DecodingConfig": "config",
    "FrameEncoder": "encoder",
    "Frames": "types",
    "Keyframe": "types",
    "Label": "types",
    "SamplingConfig": "config",
    "Segment": "types",
    "SummarizeConfig": "config",
    "Summary": "types",
    "Timeline": "types",
    "TimelineCache": "cache",
    "VideoInfo": "types",
    "VideoPipeline": "pipeline",
    "VideoReader": "video.reader",
    "VideommError": "errors",
    "build_timeline": "timeline",
    "list_models": "hub",
    "load": "pipeline",
    "load_encoder": "encoder",
    "load_model": "hub",
    "open_video": "video.reader",
    "save_model": "hub",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'videomm' has no attribute {name!r}")
    return getattr(import_module(f"videomm.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
