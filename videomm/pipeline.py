"""The facade: a video is embedded once and asked often."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from videomm.cache import TimelineCache
from videomm.config import ClassifyConfig, DecodingConfig, SamplingConfig
from videomm.errors import InvalidInputError
from videomm.hub import load_model
from videomm.models.video_model import VideoModel
from videomm.tasks.classify import classify_timeline
from videomm.timeline import build_timeline, timeline_from_frames
from videomm.types import Array, Classification, Timeline
from videomm.video.paths import check_path


class VideoPipeline:
    """Holds the model, the cache and the settings; takes paths, or arrays of frames.

    Args:
        model: as `load_model` gives it.
        sampling: which times to look at; 2 a second unless told otherwise.
        decoding: decoder and deadlines.
        cache: where timelines are kept; None keeps nothing.
        progress: draw progress bars on stderr where that is a terminal.
    """

    def __init__(
        self,
        model: VideoModel,
        sampling: SamplingConfig | None = None,
        decoding: DecodingConfig | None = None,
        *,
        cache: TimelineCache | None = None,
        progress: bool = True,
    ) -> None:
        self.model = model
        self.sampling = sampling or SamplingConfig()
        self.decoding = decoding or DecodingConfig()
        self.cache = cache
        self.progress = progress

    def embed(
        self,
        video: str | os.PathLike[str] | Array,
        *,
        times: Sequence[float] | None = None,
        fps: float | None = None,
    ) -> Timeline:
        """The timeline of a video: from the cache where it is known, else decoded and encoded.

        Args:
            video: a path, or frames as uint8 (N, H, W, 3) RGB with their times.
            times: seconds of the frames of an array, or
            fps: frames a second of an array.

        Raises:
            VideoError: the kind says what is wrong with the file.
            InvalidInputError: an array without times, or a path with them.
        """
        if isinstance(video, np.ndarray):
            return timeline_from_frames(video, self.model.encoder, times=times, fps=fps)
        if times is not None or fps is not None:
            raise InvalidInputError(
                "times and fps belong to frames in an array; a file has its own "
                "(choose the sampling with SamplingConfig)"
            )
        path = os.fspath(video)
        check_path(path)
        if self.cache is None:
            return self._build(path)
        key = self.cache.key(
            path,
            decoder=self.decoding.decoder,
            sampling=self.sampling.to_dict(),
            encoder=self.model.encoder.id,
        )
        timeline = self.cache.get(key, path)
        if timeline is None:
            timeline = self._build(path)
            self.cache.put(key, timeline)
        return timeline

    def classify(
        self,
        video: str | os.PathLike[str] | Array,
        labels: Sequence[str],
        config: ClassifyConfig | None = None,
        *,
        times: Sequence[float] | None = None,
        fps: float | None = None,
    ) -> Classification:
        """Which of the labels a video has, and where each holds; see `classify_timeline`."""
        timeline = self.embed(video, times=times, fps=fps)
        return classify_timeline(timeline, labels, self.model, config)

    def _build(self, path: str) -> Timeline:
        return build_timeline(
            path, self.model.encoder, self.sampling, self.decoding, progress=self.progress
        )


def load(
    name: str = "tiny",
    *,
    device: str | None = None,
    sampling: SamplingConfig | None = None,
    decoding: DecodingConfig | None = None,
    cache: bool = True,
    progress: bool = True,
) -> VideoPipeline:
    """A pipeline with the model of that name.

    Args:
        name: `tiny`, `ARCH/TAG`, `hf-hub:ORG/NAME`, `local-dir:PATH` or a saved model's folder.
        device: None picks CUDA, then MPS, then CPU.
        sampling: which times of a video to look at.
        decoding: decoder and deadlines.
        cache: keep timelines on disk, so that a known video is not decoded again.
        progress: draw progress bars on stderr where that is a terminal.

    Raises:
        ModelNotAvailableError: unknown name, or weights that cannot be had here.
    """
    model = load_model(name, device)
    kept = TimelineCache() if cache else None
    return VideoPipeline(model, sampling, decoding, cache=kept, progress=progress)
