"""Chapters and descriptions as WebVTT (W3C: "WebVTT: The Web Video Text Tracks Format")."""

from __future__ import annotations

from collections.abc import Iterable

from videomm.tasks.summarize import UNSAID
from videomm.types import Segment, Summary


def chapters_vtt(summary: Summary) -> str:
    """A chapter a scene, titled with its number and what is to be seen."""
    return _track(
        (scene, chapter_title(number, scene)) for number, scene in enumerate(summary.scenes, 1)
    )


def descriptions_vtt(summary: Summary) -> str:
    """What is to be seen, for people who cannot see it; nothing where nothing is certain."""
    return _track((scene, scene.text or "") for scene in summary.scenes if scene.text != UNSAID)


def chapter_title(number: int, scene: Segment) -> str:
    """Such as `Scene 2: A dog, on a beach`."""
    text = scene.text or UNSAID
    return f"Scene {number}" if text == UNSAID else f"Scene {number}: {text.removesuffix('.')}"


def _track(cues: Iterable[tuple[Segment, str]]) -> str:
    blocks = ["WEBVTT"]
    for segment, text in cues:
        start = round(segment.start * 1000)
        # A cue must end after it starts, however short its scene.
        end = max(round(segment.end * 1000), start + 1)
        if payload := _escape(text):
            blocks.append(f"{len(blocks)}\n{_timestamp(start)} --> {_timestamp(end)}\n{payload}")
    return "\n\n".join(blocks) + "\n"


def _timestamp(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{thousandths:03d}"


def _escape(text: str) -> str:
    """One line without markup; an arrow in it would end the cue."""
    line = " ".join(text.split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
