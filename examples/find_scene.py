"""When is something on screen? Prints the best second of a video for a text.

Usage: python examples/find_scene.py VIDEO "a red cup of coffee"
"""

from __future__ import annotations

import sys

import videomm


def main(path: str, text: str) -> None:
    """Compare the text with every frame of the timeline."""
    pipe = videomm.load("tiny")
    timeline = pipe.embed(path)
    similarity = timeline.embeddings @ pipe.model.encoder.encode_text([text])[0]
    best = int(similarity.argmax())
    print(f"{timeline.times[best]:.2f} s (similarity {similarity[best]:.3f})")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
