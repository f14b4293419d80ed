"""Make the clip that `videomm demo` runs on: public-domain photographs as moving shots.

The photographs ship inside scikit-image (pip install 'videomm[demo]'); their terms, as
scikit-image states them:

    rocket             SpaceX, DSCOVR launch, released into the public domain
    astronaut          NASA, Eileen Collins, public domain
    chelsea            Stefan van der Walt, CC0
    coffee             Rachel Michetti for Pikolo Espresso Bar, CC0
    hubble_deep_field  NASA, free to use, public domain
    camera             Lav Varshney, CC0

Usage: python examples/make_demo_clip.py OUT.mp4
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from PIL import Image
from skimage import data

WIDTH, HEIGHT, FPS = 480, 270, 25

# (photograph, seconds, camera at the start, camera at the end); a camera is the centre of the
# view (x, y) and its width, as fractions of the photograph.
Camera = tuple[float, float, float]
SHOTS: list[tuple[str, float, Camera, Camera]] = [
    ("rocket", 3.0, (0.5, 0.6, 0.9), (0.5, 0.45, 0.7)),
    ("astronaut", 3.0, (0.45, 0.3, 0.95), (0.43, 0.25, 0.6)),
    ("chelsea", 2.6, (0.45, 0.5, 0.95), (0.5, 0.42, 0.7)),
    ("coffee", 3.0, (0.35, 0.5, 0.65), (0.6, 0.5, 0.65)),
    ("hubble_deep_field", 2.0, (0.4, 0.4, 0.5), (0.6, 0.6, 0.5)),
    ("camera", 2.6, (0.45, 0.35, 0.85), (0.4, 0.3, 0.55)),
    ("chelsea", 2.0, (0.6, 0.45, 0.6), (0.5, 0.5, 0.95)),
]


def shot_frames(name: str, seconds: float, start: Camera, end: Camera) -> Iterator[np.ndarray]:
    """Frames (270, 480, 3) uint8 of one camera movement over a photograph."""
    photo = getattr(data, name)()
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, axis=2)
    picture = Image.fromarray(photo)
    count = round(seconds * FPS)
    for i in range(count):
        # Eased, as a hand would move the camera.
        share = 0.5 - 0.5 * np.cos(np.pi * i / (count - 1))
        x, y, view = ((1 - share) * a + share * b for a, b in zip(start, end, strict=True))
        width = view * picture.width
        height = width * HEIGHT / WIDTH
        left = min(max(x * picture.width - width / 2, 0), picture.width - width)
        top = min(max(y * picture.height - height / 2, 0), picture.height - height)
        box = (left, top, left + width, top + height)
        yield np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box=box))


def main(path: str) -> None:
    """Write the clip."""
    with av.open(path, "w", options={"movflags": "+faststart"}) as container:
        options = {"crf": "27", "preset": "veryslow", "threads": "1", "x264-params": "open-gop=0"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for shot in SHOTS:
            for pixels in shot_frames(*shot):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/make_demo_clip.py OUT.mp4")
    main(sys.argv[1])
