"""A summary as one self-contained HTML page: no other file and no network is needed."""

from __future__ import annotations

import base64
import io
import os
from functools import cache
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from videomm.models.video_model import VideoModel
from videomm.render.plot import importance_in, timeline_svg
from videomm.render.webvtt import chapter_title
from videomm.tasks.summarize import UNSAID
from videomm.types import Array, Segment, Summary, Timeline, clock

_ASSETS = Path(__file__).parent


def build_page(summary: Summary, timeline: Timeline, model: VideoModel | None = None) -> str:
    """The page: keyframes, a plot whose scenes can be clicked, chapters, chosen stretches.

    Works with keyboard and screen readers, in light and dark, and without JavaScript but for the
    larger view. Everything that comes from outside, such as the file's name, is escaped.

    Args:
        summary: of the timeline.
        timeline: N frames with thumbnails; grey fields stand for missing ones.
        model: that the summary was made with, where it was trained on people's ratings.
    """
    importance = importance_in(summary, timeline, model)
    name = os.path.basename(summary.path)
    count = len(summary.scenes)
    warnings = "".join(f"<li>{escape(item)}</li>" for item in summary.warnings)
    facts = f"{clock(summary.duration)}, {count} scene{'s'[: count != 1]}, model {summary.model}"
    return Template(_asset("page.html")).substitute(
        title=escape(name),
        style=_asset("page.css"),
        script=_asset("page.js"),
        facts=escape(facts + ("" if summary.complete else ", incomplete")),
        overall=f"<p>Overall: {escape(summary.overall)}</p>\n" if summary.overall else "",
        warnings=f'<ul class="warnings">{warnings}</ul>' if warnings else "",
        keyframes="".join(_keyframes(summary, timeline)),
        plot=timeline_svg(summary, timeline, importance),
        chapters="".join(_chapters(summary, timeline, importance)),
        chosen="".join(_chosen(summary)),
        reel=_reel_link(summary),
    )


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _keyframes(summary: Summary, timeline: Timeline) -> list[str]:
    out = []
    for item in summary.keyframes:
        text = "" if item.text == UNSAID else item.text
        alt = f"Frame at {clock(item.time)}. {item.text}"
        out.append(
            f'<li><figure><img src="{picture_uri(timeline, item.time)}" alt="{escape(alt)}">'
            f"<figcaption><time>{clock(item.time)}</time> {escape(text)}</figcaption></figure></li>"
        )
    return out


def _chapters(summary: Summary, timeline: Timeline, importance: Array) -> list[str]:
    out = []
    for number, scene in enumerate(summary.scenes):
        title = chapter_title(number + 1, scene)
        span = f"{clock(scene.start)} to {clock(scene.end)}"
        seconds = _best_time(scene, timeline, importance)
        out.append(
            f'<li><button type="button" data-scene="{number}">'
            f'<img src="{picture_uri(timeline, seconds)}" alt="" width="120">'
            f'<span><span class="name">{escape(title)}</span> '
            f'<span class="span">{span}</span></span></button></li>'
        )
    return out


def _best_time(scene: Segment, timeline: Timeline, importance: Array) -> float:
    """The time of the frame that stands best for a scene."""
    inside = (timeline.times >= scene.start - 1e-6) & (timeline.times < scene.end - 1e-6)
    if not inside.any():
        return scene.start
    return float(timeline.times[int(np.where(inside, importance, -1.0).argmax())])


def _chosen(summary: Summary) -> list[str]:
    return [
        f"<li>{clock(item.start)} to {clock(item.end)}: {escape(item.text or '')}</li>"
        for item in summary.segments
    ]


def _reel_link(summary: Summary) -> str:
    if "reel" not in summary.files:
        return ""
    name = escape(os.path.basename(summary.files["reel"]), quote=True)
    return f'<p><a href="{name}">Watch them as one video</a> (needs {name} beside this page)</p>'


def picture_uri(timeline: Timeline, seconds: float) -> str:
    """The picture on screen at a time as a `data:` address; a grey field where there is none."""
    if timeline.thumbnails:
        place = max(int(np.searchsorted(timeline.times, seconds + 1e-6, side="right")) - 1, 0)
        data = timeline.thumbnails[place]
    else:
        data = _grey_field()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


@cache
def _grey_field() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (160, 90), "#9aa0ac").save(out, "JPEG")
    return out.getvalue()
