"""The frames that answers rest on, written as one folder: whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from videomm.render.folder import check_replaceable, replacing_folder
from videomm.types import Answer, Segment, Timeline

ANSWERS_FILE = "answers.json"
_OURS = re.compile(r"answers\.json|question\d+-\d+\.jpg")


def write_evidence(
    answers: Sequence[Answer], timeline: Timeline, folder: Path, *, force: bool = False
) -> None:
    """Write the middle frame of each piece of evidence, and the answers with the files' names.

    Args:
        answers: about the timeline.
        timeline: with thumbnails.
        folder: made anew; its parents too.
        force: replace a folder of earlier answers.

    Raises:
        InvalidInputError: the folder exists or cannot be written; nothing is left then.
    """
    check_evidence_folder(folder, force=force)
    rows = []
    with replacing_folder(folder) as aside:
        for number, answer in enumerate(answers, start=1):
            row = answer.to_dict()
            for place, segment in enumerate(answer.evidence, start=1):
                name = f"question{number:02d}-{place}.jpg"
                if timeline.thumbnails:
                    (aside / name).write_bytes(timeline.thumbnails[_middle(timeline, segment)])
                    row["evidence"][place - 1]["file"] = name
            rows.append(row)
        text = json.dumps(rows, indent=1, allow_nan=False) + "\n"
        # A file's name need not be text; what is none becomes a question mark.
        (aside / ANSWERS_FILE).write_bytes(text.encode("utf-8", "replace"))


def check_evidence_folder(folder: Path, *, force: bool) -> None:
    """See that answers may be written there; see `check_replaceable`."""
    words = ("earlier answers", "no answer's", "answers")
    check_replaceable(folder, lambda name: bool(_OURS.fullmatch(name)), words, force=force)


def _middle(timeline: Timeline, segment: Segment) -> int:
    """The frame on screen in the middle of a segment."""
    middle = (segment.start + segment.end) / 2
    frame = int(np.searchsorted(timeline.bounds, middle, side="right")) - 1
    return min(max(frame, 0), len(timeline) - 1)
