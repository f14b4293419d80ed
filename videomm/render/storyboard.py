"""Keyframes with their times and sentences as one picture."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from videomm.tasks.summarize import UNSAID
from videomm.timeline import open_thumbnail
from videomm.types import Keyframe, Summary, Timeline, clock

_CELL_WIDTH = 320
_MOST_PICTURE_HEIGHT = 320
_GAP = 20
_TIME_SIZE, _TEXT_SIZE, _TITLE_SIZE = 20, 17, 24
_LINE = 22
_MOST_LINES = 4
_PAPER, _INK, _SOFT, _EMPTY = "#ffffff", "#16181d", "#4a5160", "#e6e8ee"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def frame_at(timeline: Timeline, seconds: float) -> Image.Image | None:
    """The timeline's picture that is on screen at a time, or None where it holds none."""
    if not timeline.thumbnails:
        return None
    place = max(int(np.searchsorted(timeline.times, seconds + 1e-6, side="right")) - 1, 0)
    return open_thumbnail(timeline.thumbnails[place])


def draw_storyboard(summary: Summary, timeline: Timeline, title: str) -> Image.Image:
    """A sheet of the keyframes, each above its time and sentence.

    Args:
        summary: of the timeline.
        timeline: whose thumbnails are drawn; a grey field stands for a missing one.
        title: written on top, such as the file's name.
    """
    frames = [frame_at(timeline, item.time) for item in summary.keyframes]
    height = _picture_height(frames)
    columns = _columns(len(frames))
    rows = math.ceil(len(frames) / columns)
    texts = [_wrap(_sentence(item), _font(_TEXT_SIZE), _CELL_WIDTH) for item in summary.keyframes]
    cell = height + _LINE + 10 + _LINE * max(len(lines) for lines in texts)
    top = _GAP * 2 + _TITLE_SIZE
    width = columns * (_CELL_WIDTH + _GAP) + _GAP
    sheet = Image.new("RGB", (width, top + rows * (cell + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    (heading,) = _wrap(title, _font(_TITLE_SIZE), width - 2 * _GAP, most=1)
    pen.text((_GAP, _GAP), heading, _INK, _font(_TITLE_SIZE))
    cells = zip(summary.keyframes, frames, texts, strict=True)
    for place, (item, frame, lines) in enumerate(cells):
        row, column = divmod(place, columns)
        left, y = _GAP + column * (_CELL_WIDTH + _GAP), top + row * (cell + _GAP)
        _place_picture(sheet, frame, left, y, height)
        y += height + 6
        pen.text((left, y), clock(item.time), _INK, _font(_TIME_SIZE))
        for line in lines:
            y += _LINE
            pen.text((left, y + 2), line, _SOFT, _font(_TEXT_SIZE))
    return sheet


def _columns(count: int) -> int:
    """As near to a wide sheet as the number allows: 4 for 7 or 8, 3 for 9."""
    return min(count, 3 if count in (1, 2, 3, 5, 6, 9) else 4)


def _picture_height(frames: list[Image.Image | None]) -> int:
    ratios = [frame.height / frame.width for frame in frames if frame] or [9 / 16]
    return round(min(max(*ratios, 0.2) * _CELL_WIDTH, _MOST_PICTURE_HEIGHT))


def _place_picture(
    sheet: Image.Image, frame: Image.Image | None, left: int, top: int, height: int
) -> None:
    sheet.paste(_EMPTY, (left, top, left + _CELL_WIDTH, top + height))
    if frame is None:
        return
    scale = min(_CELL_WIDTH / frame.width, height / frame.height)
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    fitted = frame.resize(size, Image.Resampling.LANCZOS)
    sheet.paste(fitted, (left + (_CELL_WIDTH - size[0]) // 2, top + (height - size[1]) // 2))


def _sentence(item: Keyframe) -> str:
    return "" if item.text == UNSAID else item.text


def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _wrap(text: str, font: Font, width: int, most: int = _MOST_LINES) -> list[str]:
    """The text in lines that fit; what is too long ends in an ellipsis."""
    # The built-in font has no signs for some names; a box is drawn for those.
    shown = text.encode("utf-8", "replace").decode()
    lines, line = [], ""
    for word in shown.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    kept = [_fit(item, font, width) for item in lines[:most]]
    if len(lines) > most:
        kept[-1] = _fit(f"{kept[-1]} …", font, width)
    return kept


def _fit(line: str, font: Font, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"
