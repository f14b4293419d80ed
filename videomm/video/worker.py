"""Decoding in a child process that can be killed: a hang or a crash costs one file only."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Generator
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from videomm import errors
from videomm.config import DecodingConfig
from videomm.errors import DecoderCrashedError, DecodeTimeoutError, InvalidInputError
from videomm.types import Array, VideoInfo
from videomm.video.decoding_process import DecodingProcess
from videomm.video.frames_shown import FloatArray, Shown, scaled_size
from videomm.video.messages import Message, ring_slots

_START_SECONDS = 120.0
_STOP_SECONDS = 0.5
_IDLE_CHILDREN = 1
# Kinds of answers after which a request has no more.
LAST_KINDS = ("done", "error", "info", "subtitles")


class _Allowance:
    """Seconds that may still be spent waiting; time between the waits is free.

    A slow consumer therefore never makes a file late.
    """

    def __init__(self, seconds: float) -> None:
        self.total = seconds
        self.left = seconds

    def wait(self, inbox: SimpleQueue[Message | None]) -> Message | None:
        """The next item; raises `Empty` once the allowance is used up."""
        started = time.monotonic()
        try:
            return inbox.get(timeout=max(0.0, self.left))
        finally:
            self.left -= time.monotonic() - started


class DecodeWorker:
    """A decoding process that lives long, and is replaced when it hangs or dies.

    Safe to share between threads and readers: each request that is under way has a process
    to itself, so two interleaved readers run in two, and one file cannot hold up another.
    One idle process is kept for the next request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[DecodingProcess] = []
        self._busy: list[DecodingProcess] = []
        self._closed = False
        self._owner = os.getpid()
        self._ids = itertools.count(1)

    @property
    def pids(self) -> list[int]:
        """Process ids of the decoding processes, those at work first."""
        with self._lock:
            return [child.process.pid for child in self._busy + self._idle]

    def probe(self, path: str, config: DecodingConfig) -> VideoInfo:
        """A file's facts; see `videomm.video.probe.probe`.

        Raises:
            DecodeTimeoutError, DecoderCrashedError: looking at it hangs or kills the process.
            VideoError: any other kind.
        """
        allowance = _Allowance(config.timeout_seconds)
        # One answer comes: the facts, or an error that is raised here.
        (answer,) = self._ask(_request("probe", path, config), b"", allowance, None)
        facts = answer[1]["info"]
        return VideoInfo(**{**facts, "path": path, "warnings": tuple(facts["warnings"])})

    def subtitles(self, path: str, config: DecodingConfig) -> dict[str, Any]:
        """A file's timed texts; see `videomm.video.subtitles.parse_file` and `parse_stream`.

        Raises:
            DecodeTimeoutError, DecoderCrashedError: reading them hangs or kills the process.
            VideoError: any other kind.
        """
        allowance = _Allowance(config.timeout_seconds)
        (answer,) = self._ask(_request("subtitles", path, config), b"", allowance, None)
        return {key: answer[1][key] for key in ("subtitles", "source", "warnings")}

    def sound(self, path: str, duration: float, config: DecodingConfig) -> Array:
        """A video's sound, int16 (samples,); see `videomm.video.sound.decode_sound`.

        Args:
            path: the video.
            duration: of it in seconds, for the deadline.
            config: with the decoder and the deadline.

        Raises:
            DecodeTimeoutError, DecoderCrashedError: it hangs or kills the process.
            VideoError: any other kind.
        """
        seconds = config.timeout_seconds + config.timeout_per_second * duration
        answers = self._ask(_request("sound", path, config), b"", _Allowance(seconds), None)
        with contextlib.closing(answers):
            parts = [body for kind, _, body in answers if kind == "sound"]
        return np.frombuffer(b"".join(parts), np.int16)

    def decode(
        self,
        info: VideoInfo,
        times: FloatArray,
        short_side: int | None,
        config: DecodingConfig,
        report: dict[str, Any],
    ) -> Generator[Shown, None, None]:
        """The frames on screen at ascending `times`.

        Args:
            info: of the probed file.
            times: float64 (N,), seconds.
            short_side: of the frames, in pixels.
            config: with the decoder and the deadline.
            report: receives `complete` and `warnings` once all is decoded.

        Yields:
            Frames in order; their counts add up to N.

        Raises:
            DecodeTimeoutError, DecoderCrashedError: after the frames that came before.
            VideoError: any other kind.
        """
        width, height = scaled_size(info.width, info.height, short_side)
        request = _request("decode", info.path, config)
        slots = ring_slots(width * height * 3)
        request |= {"short_side": short_side, "width": width, "height": height, "slots": slots}
        seconds = config.timeout_seconds + config.timeout_per_second * info.duration
        body = np.ascontiguousarray(times, dtype=np.float64).tobytes()
        shape = (height, width, slots)
        missing = 0
        with contextlib.closing(self._ask(request, body, _Allowance(seconds), shape)) as answers:
            for kind, head, pixels in answers:
                if kind == "shown":
                    yield Shown(pixels, head["time"], head["count"])
                elif kind == "missing":
                    missing += head["count"]
                    yield Shown(None, float("nan"), head["count"])
                else:
                    warnings = list(head["warnings"])
                    if missing:
                        warnings.append(f"{missing} of {len(times)} wanted frames do not decode")
                    report.update(complete=head["complete"] and not missing, warnings=warnings)

    def _ask(
        self,
        request: dict[str, Any],
        body: bytes,
        allowance: _Allowance,
        shape: tuple[int, int, int] | None,
    ) -> Generator[tuple[str, dict[str, Any], Any], None, None]:
        """Send a request and yield (kind, head, pixels or bytes) up to and with the last answer."""
        request["id"] = next(self._ids)
        child = self._lease(request["path"])
        # A child that died unseen while it was idle is not this file's doing.
        retry = not child.fresh
        finished = False
        try:
            ring = child.send_request(request, body, shape)
            while not finished:
                message = self._next(child, request, allowance)
                if message is None and retry:
                    retry = False
                    self._give_back(child, False)
                    child = self._lease(request["path"])
                    ring = child.send_request(request, body, shape)
                    continue
                if message is None:
                    raise DecoderCrashedError(
                        f"{request['path']!r}: the decoding process died ({child.last_words()}); "
                        "other files are not affected, convert this one with ffmpeg and try again"
                    )
                head, raw = message
                if head.get("id") != request["id"]:
                    continue
                retry = False
                kind = head["kind"]
                finished = kind in LAST_KINDS
                if kind == "error":
                    # The child knows the file by its full path; people by the one they gave.
                    given, full = request["path"], os.path.abspath(request["path"])
                    message_text = head["message"].replace(repr(full), repr(given))
                    raise getattr(errors, head["error"])(message_text)
                content: Any = raw
                if kind == "shown":
                    assert ring is not None
                    content = ring.take(head["slot"], raw)
                    child.send({"do": "free"})
                yield kind, head, content
        finally:
            self._give_back(child, finished or self._stop(child, request["id"]))

    def _next(
        self, child: DecodingProcess, request: dict[str, Any], allowance: _Allowance
    ) -> Message | None:
        try:
            return allowance.wait(child.inbox)
        except Empty:
            raise DecodeTimeoutError(
                f"{request['path']!r}: decoding took longer than its {allowance.total:.0f} s and "
                "was stopped; allow more with timeout_seconds, or check the file"
            ) from None

    def _stop(self, child: DecodingProcess, request_id: int) -> bool:
        """Ask the child to leave a request; False where it does not within a moment."""
        if child.process.poll() is not None:
            return False
        child.send({"do": "stop", "id": request_id})
        allowance = _Allowance(_STOP_SECONDS)
        with contextlib.suppress(Empty):
            while (message := allowance.wait(child.inbox)) is not None:
                head = message[0]
                if head.get("id") == request_id and head["kind"] in LAST_KINDS:
                    return True
        return False

    def _lease(self, path: str) -> DecodingProcess:
        """An idle child, or a new one; `path` is whom it is for."""
        if self._owner != os.getpid():
            # A fork of the owner: children and a lock that may be held are the other process's.
            self._lock, self._owner = threading.Lock(), os.getpid()
            self._idle, self._busy = [], []
        with self._lock:
            if self._closed:
                raise InvalidInputError("this DecodeWorker is closed; make a new one")
            while self._idle:
                child = self._idle.pop()
                if not child.ended and child.process.poll() is None:
                    self._busy.append(child)
                    return child
                child.kill()
        child = DecodingProcess()
        try:
            ready = child.inbox.get(timeout=_START_SECONDS)
        except Empty:
            child.kill()
            raise DecodeTimeoutError(
                f"{path!r}: the decoding process did not start within {_START_SECONDS:.0f} s; "
                "is the machine overloaded?"
            ) from None
        except BaseException:
            child.kill()
            raise
        if ready is None:
            words = child.last_words()
            child.kill()
            raise DecoderCrashedError(f"the decoding process could not be started ({words})")
        with self._lock:
            self._busy.append(child)
        return child

    def _give_back(self, child: DecodingProcess, healthy: bool) -> None:
        with self._lock:
            if child in self._busy:
                self._busy.remove(child)
            if healthy and not self._closed and len(self._idle) < _IDLE_CHILDREN:
                self._idle.append(child)
                return
        child.kill()

    def close(self) -> None:
        """End all decoding processes; requests under way fail. May be called again."""
        if self._owner != os.getpid():
            return
        with self._lock:
            self._closed = True
            children = self._idle + self._busy
            self._idle, self._busy = [], []
        for child in children:
            child.kill()

    def __enter__(self) -> DecodeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _request(what: str, path: str, config: DecodingConfig) -> dict[str, Any]:
    # The path travels as bytes too: names need not be valid UTF-8.
    raw = os.fsencode(os.path.abspath(path)).hex()
    return {"do": what, "path": path, "raw_path": raw, "decoder": config.decoder}


_default: DecodeWorker | None = None
_default_lock = threading.Lock()


def default_worker() -> DecodeWorker:
    """The process-wide worker, made on first use and closed at exit."""
    global _default
    with _default_lock:
        if _default is None:
            _default = DecodeWorker()
            atexit.register(_default.close)
        return _default


def _after_fork() -> None:
    """A forked process starts afresh: the parent's children and locks are not its own."""
    global _default, _default_lock
    _default, _default_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
