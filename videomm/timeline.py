"""A video file, or an array of frames, to a timeline: sample, decode, encode.

Decoding runs in another process and reads ahead, so it overlaps with encoding; in memory there
are never more than the read-ahead and one batch of frames, however long the video.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from videomm.config import DecodingConfig, SamplingConfig
from videomm.encoder import FrameEncoder
from videomm.errors import DamagedVideoError, InvalidInputError
from videomm.progress import progress_bar
from videomm.sampling import plan_sampling
from videomm.types import Array, Frames, SamplingPlan, Timeline
from videomm.video.reader import open_video
from videomm.video.worker import DecodeWorker

BATCH_SIZE = 16
THUMBNAIL_SIDE = 256


def build_timeline(
    path: str | os.PathLike[str],
    encoder: FrameEncoder,
    sampling: SamplingConfig | None = None,
    decoding: DecodingConfig | None = None,
    *,
    worker: DecodeWorker | None = None,
    progress: bool = True,
) -> Timeline:
    """Look at a video file once.

    A frame that is on screen at several of the sampled times is held once, so a timeline can be
    shorter than its plan.

    Args:
        path: a local video file.
        encoder: makes the embeddings.
        sampling: which times to look at; 2 a second unless told otherwise.
        decoding: decoder and deadlines.
        worker: decoding process to use instead of the shared one.
        progress: draw a progress bar on stderr where that is a terminal.

    Returns:
        The timeline; where a damaged file gave less than was asked for, `complete` is False and
        `warnings` say how much.

    Raises:
        VideoError: the kind says what is wrong with the file.
    """
    name = os.fspath(path)
    embeddings: list[Array] = []
    times: list[float] = []
    thumbnails: list[bytes] = []
    warnings: list[str] = []
    complete = True
    with open_video(name, decoding or DecodingConfig(), worker=worker) as reader:
        info = reader.info
        plan = plan_sampling(info.duration, sampling)
        short_side = min(encoder.image_size)
        batches = reader.iter_frames_at(plan.times, short_side=short_side, batch_size=BATCH_SIZE)
        with progress_bar(os.path.basename(name), len(plan), enabled=progress) as advance:
            for frames in batches:
                complete = complete and frames.complete
                warnings.extend(frames.warnings)
                fresh = np.diff(frames.times, prepend=times[-1] if times else -1.0) > 0
                if fresh.any():
                    pixels = frames.pixels[fresh]
                    embeddings.append(encoder.encode_frames(pixels))
                    thumbnails.extend(_thumbnails(pixels))
                    times.extend(frames.times[fresh].tolist())
                advance(len(frames))
    if not times:
        raise DamagedVideoError(f"no frame of {name} decodes; try another copy of the file")
    return Timeline(
        embeddings=np.concatenate(embeddings),
        times=np.array(times),
        duration=info.duration,
        encoder=encoder.id,
        path=name,
        decoder=info.decoder,
        decoder_reason=info.decoder_reason,
        plan=plan.to_dict(),
        thumbnails=tuple(thumbnails),
        complete=complete,
        # One warning once, in the order of its first mention.
        warnings=tuple(dict.fromkeys([*info.warnings, *warnings])),
    )


def timeline_from_frames(
    pixels: Array,
    encoder: FrameEncoder,
    *,
    times: Sequence[float] | Array | None = None,
    fps: float | None = None,
) -> Timeline:
    """A timeline of frames that are in memory already; all of them are encoded.

    Args:
        pixels: uint8 (N, H, W, 3) RGB.
        times: N strictly ascending seconds, or
        fps: frames a second of the array; frame i is then at i/fps.

    Raises:
        InvalidInputError: neither or both of `times` and `fps`, or a wrong shape.
    """
    if (times is None) == (fps is None):
        raise InvalidInputError("frames in an array need times or fps, one of the two")
    if fps is not None:
        if not (np.isfinite(fps) and fps > 0):
            raise InvalidInputError(f"fps must be a number above 0, got {fps!r}")
        times = np.arange(len(pixels)) / fps
    frames = Frames(pixels, np.asarray(times, np.float64))
    if len(frames) == 0:
        raise InvalidInputError("no frames to encode: got an array of length 0")
    # A frame lasts as long as the one before it; a single one has no known length.
    last_step = 1 / fps if fps is not None else float(np.diff(frames.times[-2:]).sum())
    return Timeline(
        embeddings=encoder.encode_frames(frames.pixels),
        times=frames.times,
        duration=float(frames.times[-1]) + last_step,
        encoder=encoder.id,
        path="<frames>",
        decoder="none",
        decoder_reason="frames were given as an array",
        plan=SamplingPlan("times", tuple(frames.times)).to_dict(),
        thumbnails=tuple(_thumbnails(frames.pixels)),
    )


def open_thumbnail(jpeg: bytes) -> Image.Image:
    """One of a timeline's thumbnails as an RGB picture."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        return picture.convert("RGB")


def _thumbnails(pixels: Array) -> list[bytes]:
    """A JPEG a frame, longer side at most 256 pixels."""
    out = []
    for frame in pixels:
        picture = Image.fromarray(np.asarray(frame))
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=2.0)
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=80)
        out.append(data.getvalue())
    return out
