"""A WebVTT parser that accepts only what the specification's syntax allows.

W3C "WebVTT: The Web Video Text Tracks Format", section 4: a file body is the signature, then
blocks between empty lines; a cue is an optional identifier, a timing line and a payload.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STAMP = r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"{_STAMP}[ \t]+-->[ \t]+{_STAMP}")
_ENTITY = re.compile(r"&(?:amp|lt|gt|lrm|rlm|nbsp);")


@dataclass(frozen=True)
class Cue:
    """One cue: milliseconds, and its payload with entities resolved."""

    start: int
    end: int
    text: str


def parse(data: bytes) -> list[Cue]:
    """The cues of a file, or ValueError with what breaks the syntax."""
    text = data.decode("utf-8")
    if "\r" in text or "\0" in text:
        raise ValueError("carriage return or null")
    header, *blocks = re.split(r"\n\n+", text.rstrip("\n"))
    if header != "WEBVTT" and not re.match(r"WEBVTT[ \t][^\n]*$", header):
        raise ValueError(f"signature {header!r}")
    cues, identifiers = [], set()
    for block in blocks:
        lines = block.split("\n")
        if "-->" not in lines[0]:
            if lines[0] in identifiers:
                raise ValueError(f"identifier {lines[0]!r} comes twice")
            identifiers.add(lines.pop(0))
        if not lines or not (timing := _TIMING.fullmatch(lines[0])):
            raise ValueError(f"timing line of {block!r}")
        start, end = _milliseconds(timing.groups()[:4]), _milliseconds(timing.groups()[4:])
        if start >= end:
            raise ValueError(f"{block!r} ends before it starts")
        if cues and start < cues[-1].start:
            raise ValueError(f"{block!r} starts before the one before it")
        cues.append(Cue(start, end, _payload(lines[1:])))
    return cues


def _payload(lines: list[str]) -> str:
    text = "\n".join(lines)
    if not text.strip():
        raise ValueError("empty payload")
    if "-->" in text or "<" in text or ">" in text:
        raise ValueError(f"markup or arrow in {text!r}")
    if "&" in _ENTITY.sub("", text):
        raise ValueError(f"bare ampersand in {text!r}")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _milliseconds(parts) -> int:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths
