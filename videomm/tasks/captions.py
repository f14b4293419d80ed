"""A sentence about a part of a video, by the decoder that reads its frames."""

from __future__ import annotations

import numpy as np

from videomm.tasks.presence import Presence, View


def caption_part(view: View) -> tuple[str, Presence] | None:
    """What the part of a view shows, in one sentence, and how well that holds there.

    A few of its frames are described, and the caption that the encoder finds nearest to all of the
    part is kept. It is withheld where the decoder finds it unlikely (its likelihood is poor), or
    the encoder does not find it in the part (a fluent sentence about what is not there).

    Returns:
        None where nothing can describe the video, or no caption is sure enough.
    """
    describer, places = view.scorer.describer, view.places(view.part)
    if describer is None or places is None:
        return None
    captions, likelihoods = describer.caption(places)
    likely = [captions[i] for i in np.flatnonzero(likelihoods >= describer.threshold)]
    if not likely:
        return None
    best = likely[int(np.argmax(view.centred(view.part, view.scorer.vectors(likely))))]
    found = view.presence([best])
    return (f"{best[0].upper()}{best[1:]}.", found) if found.present else None
