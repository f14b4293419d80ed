"""Timelines on disk, so that the second question about a video decodes nothing.

An entry is named by the content of the video, the decoder, the sampling and the encoder. It is
one safetensors file with a digest of its own content, written aside and renamed, so two processes
may share a folder and a killed one leaves nothing half-written. A memo a path (size, modification
time, inode, content digest) saves reading a known video again. Files are evicted least recently
used first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from videomm.errors import InvalidInputError, VideommError, VideoUnreadableError
from videomm.types import Array, Timeline

FORMAT_VERSION = 1
DEFAULT_MAX_BYTES = 2 * 1024**3
# A file touched this recently can change again within one tick of its clock, so it gets no memo.
_SETTLED_SECONDS = 2.0
# Half-written files of a killed process; older than any write takes.
_STALE_SECONDS = 3600.0

logger = logging.getLogger("videomm")


def default_cache_dir() -> Path:
    """`$VIDEOMM_CACHE`, else `$XDG_CACHE_HOME/videomm`, else `~/.cache/videomm`."""
    if custom := os.environ.get("VIDEOMM_CACHE"):
        return Path(custom).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "videomm"


@dataclass(frozen=True)
class CacheUsage:
    """What a cache holds: number of timelines and memos, and bytes on disk."""

    directory: str
    timelines: int
    memos: int
    num_bytes: int
    max_bytes: int


class TimelineCache:
    """A folder of timelines that only its user can read (mode 0700).

    A cache that cannot be written (full disk, read-only) costs a logged warning, never a result.

    Args:
        directory: made when the first entry is written.
        max_bytes: least recently used entries go when the folder holds more than this.
    """

    def __init__(
        self, directory: str | os.PathLike[str] | None = None, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        if max_bytes < 1:
            raise InvalidInputError(f"max_bytes must be at least 1, got {max_bytes}")
        self.directory = Path(directory) if directory is not None else default_cache_dir()
        self.max_bytes = max_bytes
        self._complained = False
        self._allowance = 0  # bytes to write until the folder is looked through again

    def key(self, path: str | os.PathLike[str], **settings: Any) -> str:
        """Name of the entry for a video's content under some settings.

        Args:
            path: the video; read once in full, then known by size, times and inode.
            settings: whatever decides the timeline: decoder, sampling, encoder.
        """
        named = {"format": FORMAT_VERSION, "content": self.content_digest(Path(path)), **settings}
        text = json.dumps(named, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()

    def get(self, key: str, path: str) -> Timeline | None:
        """The timeline under `key`, or None where there is none or it is damaged.

        Args:
            key: as `key` gives it.
            path: what the result calls the video, since the same content can lie elsewhere.
        """
        entry = self.directory / f"{key}.safetensors"
        try:
            data = entry.read_bytes()
        except OSError:
            return None
        try:
            timeline = _decode(data, path)
        except (SafetensorError, VideommError, KeyError, ValueError, TypeError) as error:
            logger.warning("cached timeline of %s is damaged and is made anew (%s)", path, error)
            with contextlib.suppress(OSError):
                entry.unlink()
            return None
        _touch(entry)
        return timeline

    def put(self, key: str, timeline: Timeline) -> None:
        """Store a timeline, then evict what exceeds the limit."""
        self._write(f"{key}.safetensors", _encode(timeline))

    def usage(self) -> CacheUsage:
        """Count what the folder holds."""
        sizes = [(entry, entry_stat.st_size) for entry, entry_stat in self._entries()]
        return CacheUsage(
            directory=str(self.directory),
            timelines=sum(entry.suffix == ".safetensors" for entry, _ in sizes),
            memos=sum(entry.suffix == ".memo" for entry, _ in sizes),
            num_bytes=sum(size for _, size in sizes),
            max_bytes=self.max_bytes,
        )

    def clear(self) -> CacheUsage:
        """Remove every entry, and tell what was there."""
        before = self.usage()
        for entry, _ in self._entries():
            entry.unlink(missing_ok=True)
        return before

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Files of ours, and no others: the folder may be one that the user chose."""
        if not self.directory.is_dir():
            return
        for entry in self.directory.iterdir():
            if entry.suffix in (".safetensors", ".memo", ".part"):
                with contextlib.suppress(OSError):
                    yield entry, entry.stat()

    def content_digest(self, path: Path) -> str:
        """Digest of a file's content; read once in full, then known by size, times and inode."""
        stat = path.stat()
        facts = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        name = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=20).hexdigest() + ".memo"
        memo = self.directory / name
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(memo.read_text())
            if known["facts"] == facts and isinstance(known["digest"], str):
                _touch(memo)
                return known["digest"]
        digest = digest_file(path)
        if time.time() - stat.st_mtime > _SETTLED_SECONDS:
            self._write(name, json.dumps({"facts": facts, "digest": digest}).encode())
        return digest

    def _write(self, name: str, data: bytes) -> None:
        temporary: str | None = None
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.directory, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, self.directory / name)
            temporary = None
            self._allowance -= len(data)
            if self._allowance < 0:
                self._allowance = self._evict()
        except OSError as error:
            if not self._complained:
                logger.warning("not cached in %s: %s", self.directory, error.strerror)
            self._complained = True
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def _evict(self) -> int:
        """Make the folder fit its limit; returns how many bytes may come before the next look.

        Looking takes as long as there are files; others may write meanwhile, so it is done often.
        """
        entries = sorted(self._entries(), key=lambda item: item[1].st_mtime)
        total = sum(stat.st_size for _, stat in entries)
        for entry, stat in entries:
            stale = entry.suffix == ".part" and time.time() - stat.st_mtime > _STALE_SECONDS
            if (total > self.max_bytes and entry.suffix != ".part") or stale:
                entry.unlink(missing_ok=True)
                total -= stat.st_size
        return min(self.max_bytes - total, self.max_bytes // 32)


def digest_file(path: Path) -> str:
    """Digest of a file's content, read in full.

    Raises:
        VideoUnreadableError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            new = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20))
    except OSError as error:
        raise VideoUnreadableError(
            f"{str(path)!r} cannot be read: {error.strerror}; copy it to another disk"
        ) from error
    return new.hexdigest()


def _touch(entry: Path) -> None:
    """Mark as just used; a read-only cache still serves."""
    with contextlib.suppress(OSError):
        os.utime(entry)


def _digest(tensors: dict[str, Array], facts: str) -> str:
    digest = hashlib.blake2b(facts.encode(), digest_size=20)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tensor.dtype}{tensor.shape}".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _encode(timeline: Timeline) -> bytes:
    lengths = np.array([len(item) for item in timeline.thumbnails], np.int64)
    tensors = {
        "embeddings": np.ascontiguousarray(timeline.embeddings),
        "times": np.ascontiguousarray(timeline.times),
        "thumbnail_lengths": lengths,
        "thumbnails": np.frombuffer(b"".join(timeline.thumbnails), np.uint8),
    }
    facts = json.dumps(
        {
            "duration": timeline.duration,
            "encoder": timeline.encoder,
            "decoder": timeline.decoder,
            "decoder_reason": timeline.decoder_reason,
            "plan": timeline.plan,
            "complete": timeline.complete,
            "warnings": timeline.warnings,
        }
    )
    return save_tensors(tensors, {"facts": facts, "digest": _digest(tensors, facts)})


def _decode(data: bytes, path: str) -> Timeline:
    """Read an entry back.

    Raises:
        ValueError: the content does not match its digest.
    """
    tensors = load_tensors(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    if _digest(tensors, header["facts"]) != header["digest"]:
        raise ValueError("its content does not match its digest")
    facts = json.loads(header["facts"])
    ends = np.cumsum(tensors["thumbnail_lengths"])
    pictures = tensors["thumbnails"].tobytes()
    starts = ends - tensors["thumbnail_lengths"]
    thumbnails = tuple(pictures[a:b] for a, b in zip(starts, ends, strict=True))
    facts["warnings"] = tuple(facts["warnings"])
    return Timeline(
        embeddings=tensors["embeddings"],
        times=tensors["times"],
        thumbnails=thumbnails,
        path=path,
        **facts,
    )
