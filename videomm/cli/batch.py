"""One job over many videos: a bad file costs one error row, the others are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videomm.cli.inputs import EmptyFolder, expand_paths
from videomm.cli.output import Output
from videomm.config import DecodingConfig, SamplingConfig, SpeechConfig
from videomm.errors import VideommError, VideoNotFoundError

if TYPE_CHECKING:
    from videomm.pipeline import VideoPipeline


@dataclass(frozen=True)
class Settings:
    """The options that every command over videos has."""

    model: str
    device: str | None
    fps: float
    max_frames: int
    decoder: str
    cache: bool
    progress: bool
    speech: SpeechConfig | None = None
    fusion: str | None = None

    def load(self) -> VideoPipeline:
        """Check the settings, then load the model."""
        # A limit below the usual minimum limits that, too.
        least = min(SamplingConfig.min_frames, self.max_frames)
        sampling = SamplingConfig(fps=self.fps, max_frames=self.max_frames, min_frames=least)
        decoding = DecodingConfig(decoder=self.decoder)
        from videomm.pipeline import load

        return load(
            self.model,
            device=self.device,
            sampling=sampling,
            decoding=decoding,
            cache=self.cache,
            progress=self.progress,
            speech=self.speech,
            fusion=self.fusion,
        )


def run_batch(
    paths: Iterable[str],
    settings: Settings,
    output: Output,
    job: Callable[[VideoPipeline, str], None],
) -> int:
    """Do the job for each video.

    Returns:
        The exit code: 1 where a video failed, else 0.
    """
    videos = expand_paths(paths)
    if settings.speech is not None:
        settings.speech.check_number(len(videos))
    pipeline = settings.load()
    for video in videos:
        if isinstance(video, EmptyFolder):
            message = f"no video files in the folder {video.path}; give files or another folder"
            output.error(video.path, VideoNotFoundError(message))
            continue
        try:
            job(pipeline, video)
        except VideommError as error:
            output.error(video, error)
    return output.exit_code
