"""A sentence about a part of a video, by the decoder that reads its frames."""

from __future__ import annotations

import numpy as np

from videomm.tasks.phrases import as_sentence, is_gerund
from videomm.tasks.presence import Presence, View

# How much nearer to a part than its caption a word of the bank may be, in cosine. One in ten
# captions of flickr8k's val pictures is below.
_LEAST_MARGIN = -0.1


def caption_part(view: View) -> tuple[str, Presence] | None:
    """What the part of a view shows, in one sentence, and how well that holds there.

    A few of its frames are described, and the caption that the encoder finds nearest to all of the
    part is kept. It is withheld where the decoder finds it unlikely, or the encoder does not find
    it in the part, or finds a word of the bank much nearer: a fluent sentence about something else.
    A bare name ("a cup") is withheld, too: of names the bank knows more than the decoder.

    Returns:
        None where nothing can describe the video, or no caption is sure enough.
    """
    describer, places = view.scorer.describer, view.places(view.part)
    if describer is None or places is None:
        return None
    captions, likelihoods = describer.caption(places)
    likely = [captions[i] for i in np.flatnonzero(likelihoods >= describer.threshold)]
    likely = [text for text in likely if _has_verb(text)]
    if not likely:
        return None
    nearness = view.centred(view.part, view.scorer.vectors(likely))
    best = likely[int(np.argmax(nearness))]
    if nearness.max() - view.centred(view.part, view.scorer.bank.vectors).max() < _LEAST_MARGIN:
        return None
    found = view.presence([best])
    return (as_sentence(best), found) if found.present else None


def _has_verb(text: str) -> bool:
    return any(word in ("is", "are") or is_gerund(word) for word in text.split())
