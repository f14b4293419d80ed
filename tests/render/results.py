"""A timeline with pictures and its summary, made by hand."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from videomm.tasks.summarize import UNSAID
from videomm.types import Keyframe, Segment, Summary, Timeline

COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 200))


def picture(colour, size=(128, 72), mark=True):
    """A JPEG of one colour, with a bright square on it unless it is to be flat."""
    image = Image.new("RGB", size, colour)
    if mark:
        image.paste((255, 255, 255), (4, 4, size[0] // 3, size[1] // 2))
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def make_timeline(path="a.mp4", frames=12, thumbnails=True):
    """Three scenes of four frames each, at 2 frames a second."""
    rows = np.repeat(np.eye(8, dtype=np.float32)[:3], frames // 3, axis=0)
    pictures = [picture(COLOURS[i * 3 // frames]) for i in range(frames)] if thumbnails else []
    return Timeline(
        embeddings=rows,
        times=np.arange(frames) / 2,
        duration=frames / 2,
        encoder="fake@0",
        path=path,
        decoder="pyav",
        decoder_reason="",
        plan={"mode": "fps"},
        thumbnails=tuple(pictures),
    )


def make_summary(path="a.mp4", texts=("A dog.", UNSAID, "A <cat> & a --> b."), **changes):
    """The summary of `make_timeline`."""
    scenes = tuple(Segment(2.0 * i, 2.0 * i + 2, 0.5, text=text) for i, text in enumerate(texts))
    values = {
        "path": path,
        "model": "fake",
        "decoder": "pyav",
        "complete": True,
        "warnings": (),
        "text": "0:06.0 in 3 scenes.",
        "keyframes": tuple(Keyframe(2.0 * i + 0.5, text, 0.5) for i, text in enumerate(texts)),
        "segments": (Segment(0.5, 1.0, 0.5, text=texts[0]),),
        "files": {},
        "scenes": scenes,
        "sampling": {"mode": "fps"},
        "duration": 6.0,
        "method": "bank",
    }
    return Summary(**{**values, **changes})
