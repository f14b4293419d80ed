"""The decoding child: serves one request at a time and dies with its parent.

Started by `worker`, never imported by it: `python -c ... serve(parent_pid, ring)`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import OrderedDict
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np

from videomm.config import DecodingConfig
from videomm.errors import VideommError
from videomm.video.frames_shown import Decoder
from videomm.video.messages import FrameRing, read_message, write_message
from videomm.video.probe import VideoProbe, probe
from videomm.video.sound import decode_sound
from videomm.video.subtitles import is_subtitle_file, parse_file, parse_stream

# Probes of the files asked for last, so that a reader's next request need not scan again.
_REMEMBERED = 8

_PR_SET_PDEATHSIG = 1


def serve(parent: int, ring: int) -> None:
    """Answer requests from standard input until it closes.

    Args:
        parent: process id of the parent; this process ends when that one does.
        ring: descriptor of the frame ring, or `NO_RING`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    # Native code prints to descriptor 1 as it likes; the channel gets a private copy.
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _Server(os.fdopen(0, "rb", buffering=0), channel, ring).run()


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent, where it can (Linux)."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        os._exit(0)


class _Server:
    def __init__(self, commands: Any, channel: Any, ring: int) -> None:
        self._commands: BinaryIO = commands
        self._channel: BinaryIO = channel
        self._ring = ring
        self._requests: SimpleQueue[tuple[dict[str, Any], bytes]] = SimpleQueue()
        self._stopped = 0  # the latest request that is no longer wanted
        self._free = threading.Semaphore(0)
        self._probes: OrderedDict[tuple[Any, ...], VideoProbe] = OrderedDict()

    def run(self) -> None:
        # Requests come in beside decoding: a stop must be seen while a long GOP decodes, and
        # the end of the pipe, which is the end of the parent, while native code spins.
        threading.Thread(target=self._listen, daemon=True).start()
        write_message(self._channel, {"kind": "ready"})
        while True:
            head, body = self._requests.get()
            try:
                if head["do"] == "probe":
                    self._reply(head, {"kind": "info", "info": asdict(self._probe(head).info)})
                elif head["do"] == "subtitles":
                    self._reply(head, {"kind": "subtitles", **self._subtitles(head)})
                elif head["do"] == "sound":
                    self._sound(head)
                else:
                    self._decode(head, np.frombuffer(body, dtype=np.float64))
            except VideommError as error:
                self._reply(head, {"kind": "error", "error": error.kind, "message": str(error)})
            except MemoryError:
                text = f"{head['path']!r}: not enough memory to decode it; ask for smaller frames"
                self._reply(head, {"kind": "error", "error": "DamagedVideoError", "message": text})

    def _listen(self) -> None:
        while (message := read_message(self._commands)) is not None:
            head = message[0]
            if head["do"] == "free":
                self._free.release()
            elif head["do"] == "stop":
                self._stopped = head["id"]
                self._free.release()
            else:
                self._requests.put(message)
        os._exit(0)

    def _reply(self, request: dict[str, Any], head: dict[str, Any], body: bytes = b"") -> None:
        write_message(self._channel, {**head, "id": request["id"]}, body)

    def _probe(self, head: dict[str, Any]) -> VideoProbe:
        path = os.fsdecode(bytes.fromhex(head["raw_path"]))
        try:
            stat = os.stat(path)
            key = (path, head["decoder"], stat.st_size, stat.st_mtime_ns, stat.st_ino)
        except OSError:
            return probe(path, DecodingConfig(decoder=head["decoder"]))  # raises the right kind
        if key not in self._probes:
            self._probes[key] = probe(path, DecodingConfig(decoder=head["decoder"]))
            while len(self._probes) > _REMEMBERED:
                self._probes.popitem(last=False)
        self._probes.move_to_end(key)
        return self._probes[key]

    def _subtitles(self, head: dict[str, Any]) -> dict[str, Any]:
        path = os.fsdecode(bytes.fromhex(head["raw_path"]))
        if is_subtitle_file(path):
            return parse_file(path)
        return parse_stream(path, self._probe(head).info.start_seconds)

    def _sound(self, head: dict[str, Any]) -> None:
        info = self._probe(head).info
        for samples in decode_sound(info, lambda: self._stopped >= head["id"]):
            self._reply(head, {"kind": "sound"}, samples)
        self._reply(head, {"kind": "done"})

    def _decode(self, head: dict[str, Any], times: Any) -> None:
        found = self._probe(head)
        decoder = make_decoder(found, head["short_side"])
        ring = FrameRing(self._ring, head["height"], head["width"], head["slots"])
        self._free = threading.Semaphore(ring.slots)

        def stop() -> bool:
            return self._stopped >= head["id"]

        slot = 0
        frames = decoder.shown_at(times, stop)
        for shown in frames:
            if shown.pixels is None:
                self._reply(head, {"kind": "missing", "count": shown.count})
                continue
            self._free.acquire()
            if stop():
                break
            body = ring.put(slot, shown.pixels)
            note = {"kind": "shown", "slot": slot, "time": shown.time, "count": shown.count}
            self._reply(head, note, body)
            slot = (slot + 1) % ring.slots
        frames.close()  # type: ignore[attr-defined]
        self._reply(
            head, {"kind": "done", "complete": decoder.complete, "warnings": decoder.warnings}
        )


def make_decoder(found: VideoProbe, short_side: int | None) -> Decoder:
    """The decoder that the probe chose for the file."""
    if found.info.decoder == "decord":
        from videomm.video.decord_decoder import DecordDecoder

        return DecordDecoder(found, short_side)
    from videomm.video.pyav_decoder import PyavDecoder

    return PyavDecoder(found, short_side)
