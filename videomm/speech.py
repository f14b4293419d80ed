"""What is said in a video: found, read, embedded and kept, beside its timeline.

Timelines are the same with speech and without; what is said has an entry of its own in the cache,
named by the content of the file that it was read from and by the text tower.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from videomm.cache import TimelineCache
from videomm.config import DecodingConfig, SpeechConfig
from videomm.encoder import FrameEncoder
from videomm.errors import SubtitlesUnreadableError
from videomm.transcribe import find_weights, transcribe
from videomm.types import Array, Speech, Subtitle, Timeline
from videomm.video.subtitles import FORMATS, find_sidecar, is_subtitle_file
from videomm.video.worker import default_worker

# Its vector stands for the text tower, which the encoder's id does not name.
_PROBE = "what is said"


def read_speech(
    path: str,
    duration: float,
    encoder: FrameEncoder,
    config: SpeechConfig,
    decoding: DecodingConfig,
    cache: TimelineCache | None = None,
) -> tuple[Speech | None, tuple[str, ...]]:
    """The texts that are spoken in a video, embedded.

    Args:
        path: the video.
        duration: of it in seconds; texts that start later are left out.
        encoder: its text tower embeds them.
        config: where they come from.
        decoding: the deadline.
        cache: keeps them; None keeps nothing.

    Returns:
        Speech, or None where there is none; and what a reader of the result should know.

    Raises:
        SubtitlesUnreadableError: the file that was asked for cannot be read.
        ModelNotAvailableError: the speech model cannot be had here.
        VideoError: the kind says what is wrong with the video.
    """
    reader = _Reader(encoder, decoding, cache)
    notes: list[str] = []
    if config.subtitles not in ("auto", "none"):
        found = reader.subtitles(_check_file(config.subtitles))
    else:
        found = _Texts()
        if config.subtitles == "auto":
            found, notes = _beside_or_inside(path, reader)
        if not found.subtitles and config.transcribe:
            found = reader.transcript(path, duration, config.speech_model)
    notes += found.warnings
    kept = [place for place, item in enumerate(found.subtitles) if item.start < duration]
    if late := len(found.subtitles) - len(kept):
        notes.append(f"{late} subtitles start after the end of the video and are left out")
    if not kept:
        return None, (*notes, "no speech was found: the pictures are judged alone")
    texts = tuple(found.subtitles[place] for place in kept)
    return Speech(texts, found.embeddings[kept], found.source), tuple(notes)


def _check_file(path: str) -> str:
    if not os.path.isfile(path) or not is_subtitle_file(path):
        what = "is of another kind" if os.path.exists(path) else "is not there"
        raise SubtitlesUnreadableError(
            f"{path!r} {what}; --subtitles takes auto, none or a file that ends in "
            f"{', '.join(FORMATS)}"
        )
    return path


def _beside_or_inside(path: str, reader: _Reader) -> tuple[_Texts, list[str]]:
    """The texts of the file beside a video, or else of the stream inside it."""
    notes = []
    if (sidecar := find_sidecar(path)) is not None:
        try:
            return reader.subtitles(sidecar), []
        except SubtitlesUnreadableError as error:
            notes.append(str(error))
    return reader.subtitles(path), notes


class _Texts:
    """Timed texts with their embeddings (M, D), as they were read or kept."""

    def __init__(self, answer: dict[str, Any] | None = None, embeddings: Array | None = None):
        answer = answer or {"subtitles": [], "source": "", "warnings": []}
        self.subtitles = [Subtitle(*item) for item in answer["subtitles"]]
        self.source: str = answer["source"]
        self.warnings: list[str] = answer["warnings"]
        self.embeddings = np.zeros((0, 0), np.float32) if embeddings is None else embeddings


class _Reader:
    """Reads and embeds timed texts, each file once."""

    def __init__(
        self, encoder: FrameEncoder, decoding: DecodingConfig, cache: TimelineCache | None
    ) -> None:
        self._encoder = encoder
        self._decoding = decoding
        self._cache = cache

    def subtitles(self, path: str) -> _Texts:
        """The texts of a subtitle file, or of a stream inside a video."""
        found = self._kept(
            path, "subtitles", lambda: default_worker().subtitles(path, self._decoding)
        )
        found.source = found.source or os.path.basename(path)
        return found

    def transcript(self, path: str, duration: float, model: str) -> _Texts:
        """What a speech model hears in a video."""
        folder, digest = find_weights(model, self._cache)
        return self._kept(
            path,
            f"transcript {digest}",
            lambda: transcribe(path, duration, model, folder, self._decoding),
        )

    def _kept(self, path: str, kind: str, read: Callable[[], dict[str, Any]]) -> _Texts:
        """What was read before, or is read and embedded now: kept as a timeline of texts."""
        probe = self._encoder.encode_text([_PROBE])
        if self._cache is None:
            answer = read()
            return _Texts(answer, self._embed(answer))
        tower = probe.astype(np.float16).tobytes().hex()
        key = self._cache.key(path, speech=kind, text_tower=tower)
        kept = self._cache.get(key, path)
        if kept is None:
            answer = read()
            # The probe's row comes first, so that there is one where nothing is said.
            rows = np.concatenate((probe, self._embed(answer)))
            times = np.arange(len(rows), dtype=np.float64)
            kept = Timeline(rows, times, len(rows), self._encoder.id, path, "none", "", answer)
            self._cache.put(key, kept)
        return _Texts(kept.plan, kept.embeddings[1:])

    def _embed(self, answer: dict[str, Any]) -> Array:
        """float32 (M, D); a text that comes again is embedded once."""
        texts = [text for _, _, text in answer["subtitles"]]
        if not texts:
            return np.zeros((0, self._encoder.dim), np.float32)
        unique = list(dict.fromkeys(texts))
        places = {text: place for place, text in enumerate(unique)}
        return self._encoder.encode_text(unique)[[places[text] for text in texts]]
