"""Timed texts: the file beside a video or the stream inside it, as plain text with seconds.

FFmpeg parses all formats. Files are read in the decoding process (`DecodeWorker.subtitles`): a
hostile one can hang or crash only that.
"""

from __future__ import annotations

import html
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videomm.errors import SubtitlesUnreadableError
from videomm.video.containers import open_container

# Suffix to FFmpeg's name of the format, best first.
FORMATS = {".srt": "srt", ".vtt": "webvtt", ".ass": "ass", ".ssa": "ass"}
MOST_BYTES = 16 << 20
MOST_SUBTITLES = 20_000
MOST_CHARACTERS = 1_000
# How long a text without an end is shown, unless the next one comes before.
_OPEN_SECONDS = 5.0
_LANGUAGE = r"\.(?P<language>[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)"
_ENGLISH = ("en", "eng")
_PICTURES = frozenset({"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"})
_DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}.*?(?:\{[^}]*\\p0[^}]*\}|$)", re.DOTALL)
_OVERRIDE = re.compile(r"\{\\[^}]*\}")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>")
_BREAK = re.compile(r"\\[Nnh]")


def find_sidecar(video: str) -> str | None:
    """The subtitle file beside a video, or None.

    `clip.srt` comes before `clip.vtt`, `clip.ass` and `clip.ssa`, and these before files with a
    language, `clip.en.srt` first of them and the others in the order of their names.
    """
    path = Path(video)
    named = re.compile(rf"{re.escape(path.stem)}(?:{_LANGUAGE})?", re.ASCII)
    found = []
    try:
        names = sorted(os.listdir(path.parent))
    except OSError:
        return None
    for name in names:
        stem, suffix = os.path.splitext(name)
        match = named.fullmatch(stem)
        if match and suffix.lower() in FORMATS and (path.parent / name).is_file():
            language = (match["language"] or "").lower()
            kind = list(FORMATS).index(suffix.lower())
            found.append((bool(language), not _is_english(language), language, kind, name))
    return str(path.parent / min(found)[-1]) if found else None


def _is_english(language: str) -> bool:
    return re.split("[-_]", language.lower())[0] in _ENGLISH


def is_subtitle_file(path: str) -> bool:
    """Whether a file's name ends as that of subtitles."""
    return os.path.splitext(path)[1].lower() in FORMATS


def parse_file(path: str) -> dict[str, Any]:
    """Read a subtitle file; its clock is the video's.

    Returns:
        `subtitles` as (start, end, text), `source` (the stream's name; empty for a file, since the
        same content may lie elsewhere) and `warnings`.

    Raises:
        SubtitlesUnreadableError: it is too large, of another kind, or has no text in it.
    """
    import av

    try:
        size = os.path.getsize(path)
        text, warnings = _decode_text(path) if size <= MOST_BYTES else ("", [])
    except OSError as error:
        raise SubtitlesUnreadableError(
            f"{path!r} cannot be read: {error.strerror}; check its rights"
        ) from error
    if size > MOST_BYTES:
        raise SubtitlesUnreadableError(
            f"{path!r} has {size >> 20} MB; subtitles of up to {MOST_BYTES >> 20} MB are read: is "
            "it a subtitle file?"
        )
    kind = FORMATS[os.path.splitext(path)[1].lower()]
    items: list[tuple[float, float, str]] = []
    try:
        with av.open(io.BytesIO(text.encode()), format=kind) as container:
            for stream in container.streams.subtitles[:1]:
                items, more = _gather(_texts(container, stream, 0.0))
                warnings += more
    except (av.error.FFmpegError, ValueError, OSError):
        items = []
    if not items:
        raise SubtitlesUnreadableError(
            f"{path!r} has no timed text in it; expected {kind} such as 00:00:01,000 --> "
            "00:00:02,500 with a line below: check the file, or use --subtitles none"
        )
    return {"subtitles": items, "source": "", "warnings": warnings}


def parse_stream(path: str, start_seconds: float) -> dict[str, Any]:
    """Read the subtitle stream of a video, English before others; see `parse_file`.

    Args:
        path: the video.
        start_seconds: the container's time of the first displayed frame, which is time 0.
    """
    with open_container(path) as (container, _):
        streams = [s for s in container.streams.subtitles if s.codec_context is not None]
        readable = [s for s in streams if s.codec_context.name not in _PICTURES]
        if not readable:
            note = "its subtitles are pictures, which cannot be read" if streams else ""
            return {"subtitles": [], "source": "", "warnings": [note] if note else []}
        stream = min(readable, key=lambda s: not _is_english(_language(s)))
        items, warnings = _gather(_texts(container, stream, start_seconds))
        language = _language(stream)
        source = f"subtitle stream {stream.index}{f' ({language})' if language else ''}"
        return {"subtitles": items, "source": source, "warnings": warnings}


def _language(stream: Any) -> str:
    return str(stream.metadata.get("language", ""))


def _decode_text(path: str) -> tuple[str, list[str]]:
    data = Path(path).read_bytes()
    codec = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(codec), []
    except UnicodeDecodeError:
        note = "the subtitles are not UTF-8; read as Windows-1252, letters may be wrong"
        return data.decode("cp1252", "replace"), [note]


def _texts(container: Any, stream: Any, start: float) -> Iterator[tuple[float, float | None, str]]:
    """(start, end or None, text) of the stream's packets, less the start."""
    import av

    try:
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            begin = float(packet.pts * packet.time_base) - start
            length = float((packet.duration or 0) * packet.time_base)
            try:
                rects = stream.codec_context.decode2(packet) or ()
            except (av.error.FFmpegError, ValueError):
                continue
            texts = [plain_text(r.dialogue.decode("utf-8", "replace")) for r in rects if _said(r)]
            yield begin, begin + length if length else None, " ".join(filter(None, texts))
    except (av.error.FFmpegError, OSError, ValueError):
        return  # cut off: what came before counts


def _said(rect: Any) -> bool:
    return getattr(rect, "dialogue", None) is not None


def _gather(
    texts: Iterator[tuple[float, float | None, str]],
) -> tuple[list[tuple[float, float, str]], list[str]]:
    """Texts in order of time, each with an end, and what was left out of them."""
    rows: list[tuple[float, float | None, str]] = []
    warnings = []
    for row in texts:
        if len(rows) == MOST_SUBTITLES:
            warnings.append(f"only the first {MOST_SUBTITLES} subtitles are used")
            break
        rows.append(row)
    rows.sort(key=lambda row: row[0])
    items = []
    for place, (start, end, text) in enumerate(rows):
        if end is None:
            following = rows[place + 1][0] if place + 1 < len(rows) else start + _OPEN_SECONDS
            end = min(following, start + _OPEN_SECONDS)
        if text and end > 0:
            items.append((max(start, 0.0), end, text[:MOST_CHARACTERS]))
    if cut := sum(len(text) > MOST_CHARACTERS for _, _, text in rows):
        warnings.append(f"{cut} subtitles are longer than {MOST_CHARACTERS} letters and were cut")
    return items, warnings


def plain_text(text: str) -> str:
    """A text without markup: ASS overrides and drawings, tags of HTML and WebVTT, line breaks."""
    text = _OVERRIDE.sub("", _DRAWING.sub("", text))
    text = _TAG.sub("", _BREAK.sub(" ", text))
    return " ".join(html.unescape(text).split())
