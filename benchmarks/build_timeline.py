"""`build_timeline` against the plain way, in one run.

The plain way: decord's `get_batch`, then the model's own PIL transform a frame, then
`encode_image` on all of them. Both look at the same times of the same clip with the same
weights (random ones: speed does not depend on them).

    python benchmarks/build_timeline.py [--frames 48] [--model ViT-B-32-256] [--repeats 3]

Verifies that both give the same embeddings, then times them in turns; JSON on the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import decord
import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

import videomm
from videomm.config import SamplingConfig
from videomm.encoder import FrameEncoder
from videomm.sampling import plan_sampling
from videomm.timeline import build_timeline
from videomm.types import Array
from videomm.video.reader import open_video

DEMO = Path(videomm.__file__).parent / "assets" / "demo.mp4"


def make_clip(path: str, seconds: float) -> None:
    """The demo clip at 1280x720, over and over, as closed-GOP H.264 at 25 frames a second."""
    with av.open(str(DEMO)) as source:
        pictures = [frame.to_image().resize((1280, 720)) for frame in source.decode(video=0)]
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for i in range(round(seconds * 25)):
            frame = av.VideoFrame.from_image(pictures[i % len(pictures)])
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class Plain:
    """The plain way, with the seconds of each stage."""

    def __init__(self, model: Any) -> None:
        self.model = model
        config = PreprocessCfg(**model.visual.preprocess_cfg)
        self.transform = image_transform_v2(config, is_train=False)

    @torch.inference_mode()
    def run(self, path: str, times: tuple[float, ...]) -> tuple[Array, dict[str, float]]:
        stages: dict[str, float] = {}
        with _clock(stages, "decode"):
            reader = decord.VideoReader(path)
            starts = np.array(reader.get_frame_timestamp(range(len(reader))))[:, 0]
            indices = np.searchsorted(starts, np.array(times) + 1e-6, side="right") - 1
            pixels = reader.get_batch(indices.clip(0).tolist()).asnumpy()
            del reader
        with _clock(stages, "preprocess"):
            images = torch.stack([self.transform(Image.fromarray(frame)) for frame in pixels])
        with _clock(stages, "encode"):
            features = self.model.encode_image(images)
            unit = torch.nn.functional.normalize(features, dim=-1)
        return unit.numpy(), stages


class _clock:  # noqa: N801 - reads as a statement
    """CPU and wall seconds of a block."""

    def __init__(self, stages: dict[str, float], name: str) -> None:
        self.stages, self.name = stages, name

    def __enter__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.stages[f"{self.name}_wall"] = time.perf_counter() - self.wall
        self.stages[f"{self.name}_cpu"] = time.process_time() - self.cpu


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bounds(encoder: FrameEncoder, clip: str, times: tuple[float, ...]) -> dict[str, float]:
    """Wall seconds of decoding alone and of preprocessing and encoding alone."""
    start = time.perf_counter()
    with open_video(clip) as reader:
        batches = list(reader.iter_frames_at(times, short_side=min(encoder.image_size)))
    decode = time.perf_counter() - start
    pixels = np.concatenate([frames.pixels for frames in batches])
    stages: dict[str, float] = {}
    with _clock(stages, "preprocess"):
        encoder.preprocess(pixels)
    with _clock(stages, "preprocess_and_encode"):
        encoder.encode_frames(pixels)
    return {"decode_alone_wall": decode, **stages}


def main() -> None:
    """Verify, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--model", default="ViT-B-32-256")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = open_clip.create_model(args.model, pretrained_text=False).eval()
    encoder, plain = FrameEncoder(model, args.model), Plain(model)
    sampling = SamplingConfig(num_frames=args.frames)
    with tempfile.TemporaryDirectory() as folder:
        clip = os.path.join(folder, "clip.mp4")
        make_clip(clip, args.frames / 2)

        def ours() -> videomm.Timeline:
            return build_timeline(clip, encoder, sampling, progress=False)

        timeline = ours()
        times = plan_sampling(timeline.duration, sampling).times
        expected, stages = plain.run(clip, times)
        cosines = (expected * timeline.embeddings).sum(axis=1)
        assert cosines.min() > 0.99, f"the two ways differ: cosine {cosines.min():.5f}"
        rows = []
        for _ in range(args.repeats):
            rows.append((timed(lambda: plain.run(clip, times)), timed(ours)))
        alone = bounds(encoder, clip, times)
    plain_seconds = statistics.median(row[0] for row in rows)
    our_seconds = statistics.median(row[1] for row in rows)
    bound = max(alone["decode_alone_wall"], alone["preprocess_and_encode_wall"])
    report = {
        "model": args.model,
        "frames": args.frames,
        "decoder": timeline.decoder,
        "min_cosine": round(float(cosines.min()), 5),
        "plain_seconds": round(plain_seconds, 3),
        "build_timeline_seconds": round(our_seconds, 3),
        "ratio": round(plain_seconds / our_seconds, 2),
        "bound_seconds": round(bound, 3),
        "share_of_bound": round(bound / our_seconds, 2),
        "plain_stages": {key: round(value, 3) for key, value in stages.items()},
        "our_stages": {key: round(value, 3) for key, value in alone.items()},
        "threads": torch.get_num_threads(),
    }
    for key, value in report.items():
        print(f"{key}: {value}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
