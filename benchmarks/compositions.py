"""Does the temporal Transformer tell when, in what order and for how long? Made-up videos.

    python benchmarks/compositions.py --data ../shared/data --temporal DIR
    python benchmarks/compositions.py --data ../shared/data --temporal DIR --split val --count 50

Compositions of 2 to 8 moving shots of captioned pictures that nothing was trained on, cut and
faded, some of which return; see `videomm/training/compositions.py`. Every frame is rendered and
embedded. DIR is what `python -m videomm.training.temporal` wrote; without it the trained row is
left out. Columns, in percent, are those of `measure_findings`. The rows:

- floor: a scene drawn like the compositions' own at a random place, a random order, a random one of
  the pictures shown (what is dominant has no most frequent place: it comes out the same or lower).
- mean pooling: one vector a video, so no caption has a moment of its own. All get the window in the
  middle of the video whose share of it finds the most on compositions of other plans.
- untrained: the temporal Transformer as the identity, every frame on its own; its pooled vector is
  mean pooling's.
- trained: the same with the weights of DIR.

`--files N` also writes the first N compositions as video files, reads them with `build_timeline`,
and says how near their frames' embeddings come to the rendered ones and what is found in them.
Verifies first that the untrained model is the identity and that plans are what they say. JSON on
the last line; the exit code is 1 where the trained row does not beat both others in `moment`,
`order` and `dominant`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from videomm.encoder import FrameEncoder
from videomm.evaluation.compositions import Findings, find_in, measure_findings
from videomm.evaluation.moments import temporal_iou
from videomm.hub import load_model
from videomm.models.video_model import VideoModel
from videomm.timeline import build_timeline
from videomm.training.compositions import (
    SCENE_SECONDS,
    SCENES,
    Composition,
    draw_composition,
    render,
)
from videomm.training.image_data import ImageArchive, load_split
from videomm.training.shots import Watched, watch_split

COLUMNS = ("moment", "order", "tau", "dominant")
MUST_RISE = ("moment", "order", "dominant")
FILE_SIZE = (240, 320)  # height, width
FILE_FPS = 10
REPEATS = 20  # of rows that rest on chance
OTHER_SEED = 1  # of the plans that mean pooling's window is chosen on
Row = dict[str, float]


def verify(watched: Sequence[Watched], model: VideoModel) -> None:
    """The untrained model is the identity, and compositions are what their description says."""
    for item in watched:
        scenes = item.composition.scenes
        assert SCENES[0] <= len(scenes) <= SCENES[1]
        assert all(
            SCENE_SECONDS[0] <= scene.end - scene.start <= SCENE_SECONDS[1] for scene in scenes
        )
        assert all(one.end == two.start for one, two in pairwise(scenes))
        assert all(one.picture != two.picture for one, two in pairwise(scenes))
        given = torch.from_numpy(np.array(item.timeline.embeddings))
        context = model.attend(item.timeline)
        assert (context.frames[0] - given).abs().max() < 1e-6
        pooled = torch.nn.functional.normalize(given.mean(dim=0), dim=0)
        assert (context.pooled[0] - pooled).abs().max() < 1e-6


def draw(plans: Sequence[Composition], rng: np.random.Generator) -> list[Findings]:
    """The floor: a scene like the compositions' own anywhere, and any of the pictures."""
    findings = []
    for plan in plans:
        count = len(plan.pictures)
        lengths = np.minimum(rng.uniform(*SCENE_SECONDS, count), plan.duration)
        starts = rng.random(count) * (plan.duration - lengths)
        moments = np.stack([starts, starts + lengths], axis=1)
        findings.append(Findings(moments, int(rng.integers(count))))
    return findings


def mean_row(rows: Sequence[Row]) -> Row:
    """Mean of each figure."""
    return {name: round(float(np.mean([row[name] for row in rows])), 1) for name in COLUMNS}


def middle(composition: Composition, share: float) -> tuple[float, float]:
    """The window in the middle of a video, of that share of it."""
    half = share * composition.duration / 2
    return composition.duration / 2 - half, composition.duration / 2 + half


def choose_share(count: int = 500) -> float:
    """The share of a video whose window in the middle finds the most moments, on other plans."""
    plans = [draw_composition([1] * SCENES[1] * 2, OTHER_SEED, number) for number in range(count)]

    def found(share: float) -> int:
        return sum(
            bool(temporal_iou(middle(plan, share), plan.moments(picture)).max() >= 0.5)
            for plan in plans
            for picture in plan.pictures
        )

    return max(np.linspace(0.1, 1.0, 19).tolist(), key=found)


def find_in_context(item: Watched, model: VideoModel) -> Findings:
    """What a model's temporal Transformer finds."""
    context = model.attend(item.timeline)
    pair = context.frames[0].cpu().numpy(), context.pooled[0].cpu().numpy()
    return find_in(item.timeline, *pair, item.captions)


def measure(watched: Sequence[Watched], models: dict[str, VideoModel]) -> dict[str, Row]:
    """All rows."""
    plans = [item.composition for item in watched]
    rng = np.random.default_rng(0)
    floor = mean_row([measure_findings(plans, draw(plans, rng)) for _ in range(REPEATS)])
    rows = {name: [find_in_context(i, model) for i in watched] for name, model in models.items()}
    share = choose_share()
    windows = [np.array([middle(plan, share)] * len(plan.pictures)) for plan in plans]
    pooled = [
        replace(found, moments=window)
        for found, window in zip(rows["untrained"], windows, strict=True)
    ]
    measured = {name: measure_findings(plans, found) for name, found in rows.items()}
    # All its moments have one middle, so the order is whatever the captions came in.
    tied = mean_row([measure_findings(plans, pooled, seed) for seed in range(REPEATS)])
    return {"floor": floor, "mean pooling": tied, **measured}


def write_file(path: Path, composition: Composition, data: Path, split: str) -> None:
    """A composition as an H.264 file of 10 frames a second."""
    archive = ImageArchive(data)
    rows = [row for row in load_split(data, split) if row.captions]
    pixels = render(composition, lambda number: archive.read(rows[number]), FILE_SIZE, FILE_FPS)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FILE_FPS, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *FILE_SIZE, "yuv420p"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def read_files(
    watched: Sequence[Watched], encoder: FrameEncoder, data: Path, split: str
) -> tuple[list[Watched], float]:
    """The same compositions out of video files, and the mean cosine of their frames."""
    read, cosines = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, item in enumerate(watched):
            path = Path(folder) / f"{number}.mp4"
            write_file(path, item.composition, data, split)
            timeline = build_timeline(path, encoder, progress=False)
            read.append(replace(item, timeline=timeline))
            near = np.abs(timeline.times[:, None] - item.timeline.times).argmin(axis=1)
            cosines.append((timeline.embeddings * item.timeline.embeddings[near]).sum(axis=1))
    return read, round(float(np.concatenate(cosines).mean()), 3)


def show(rows: dict[str, Row]) -> None:
    """A table."""
    print(f"{'':14}" + "".join(f"{name:>10}" for name in COLUMNS))
    for name, row in rows.items():
        print(f"{name:14}" + "".join(f"{row[column]:10.1f}" for column in COLUMNS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; exit code 1 where training does not pay."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--temporal", help="folder with the trained temporal Transformer")
    parser.add_argument("--model", default="tiny", help="the encoder, where no --temporal names it")
    parser.add_argument("--count", type=int, default=200, help="how many compositions")
    parser.add_argument("--files", type=int, default=0, help="how many of them as video files")
    options = parser.parse_args(arguments)
    trained = load_model(options.temporal, "cpu") if options.temporal else None
    encoder = trained.encoder if trained else load_model(options.model, "cpu").encoder
    models = {"untrained": VideoModel(encoder)} | ({"trained": trained} if trained else {})
    watched = watch_split(options.data, options.split, encoder, options.count)
    verify(watched, models["untrained"])
    rows = measure(watched, models)
    pictures = sum(len(item.composition.pictures) for item in watched)
    print(f"{options.count} compositions of {options.split}, {pictures} captions, in percent")
    show(rows)
    report: dict[str, Any] = {"benchmark": "compositions", "split": options.split}
    report |= {"encoder": encoder.id, "count": options.count, "figures": rows}
    if options.files:
        read, cosine = read_files(watched[: options.files], encoder, options.data, options.split)
        report |= {"files": measure(read, models), "files_cosine": cosine}
        print(f"the first {options.files} out of video files, cosine to rendered frames {cosine}")
        show(report["files"])
    print(json.dumps(report))
    others = [rows["mean pooling"], rows["untrained"]]
    beaten = "trained" in rows and all(
        rows["trained"][column] > other[column] for other in others for column in MUST_RISE
    )
    return int(trained is not None and not beaten)


if __name__ == "__main__":
    raise SystemExit(main())
