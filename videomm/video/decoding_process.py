"""One decoding process, seen from the parent: started, listened to, killed without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from videomm import errors
from videomm.video.messages import (
    NO_RING,
    FrameRing,
    Message,
    open_ring_file,
    read_message,
    write_message,
)

# The child gets the parent's module path as it is, whatever its working folder.
BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]); "
    "from videomm.video.worker_child import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
)


_KEPT_STDERR_BYTES = 8192


class DecodingProcess:
    """One decoding process and the thread that started it and listens to it."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[Message | None] = SimpleQueue()
        self.ring = open_ring_file()
        self._stderr: deque[bytes] = deque(maxlen=_KEPT_STDERR_BYTES // 256)
        self._started: SimpleQueue[subprocess.Popen[bytes] | BaseException] = SimpleQueue()
        self._abandoned = False
        self.ended = False
        self.fresh = True
        # Linux ends a child (PR_SET_PDEATHSIG) with the *thread* that started it, so the one
        # that does must live as long as the child: it is the one that reads its answers.
        threading.Thread(target=self._live, name="videomm-decoding", daemon=True).start()
        try:
            started = self._started.get()
        except BaseException:  # Ctrl-C while it starts
            self._abandoned = True
            raise
        if isinstance(started, BaseException):
            self._close_ring()
            raise started
        self.process = started

    def _live(self) -> None:
        try:
            process = self._spawn()
        except BaseException as error:
            self._started.put(error)
            return
        threading.Thread(target=self._drain, args=(process,), daemon=True).start()
        self._started.put(process)
        if self._abandoned:
            process.kill()
        with process.stdout as pipe, contextlib.suppress(OSError, ValueError):  # type: ignore[union-attr]
            while (message := read_message(pipe)) is not None:  # type: ignore[arg-type]
                self.inbox.put(message)
        self.ended = True
        self.inbox.put(None)
        process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        package_root = str(Path(errors.__file__).resolve().parents[1])
        paths = [os.fspath(entry) or os.getcwd() for entry in sys.path]
        if package_root not in paths:
            paths.append(package_root)
        command = [sys.executable, "-P", "-c", BOOT, str(os.getpid()), str(self.ring)]
        posix: dict[str, Any] = {}
        if os.name == "posix":
            # Its own process group: Ctrl-C at the terminal reaches the parent alone.
            posix["process_group"] = 0
            posix["pass_fds"] = () if self.ring == NO_RING else (self.ring,)
        return subprocess.Popen(
            [*command, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            **posix,
        )

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        """Keep the end of what native code prints, off the user's terminal."""
        with process.stderr as pipe, contextlib.suppress(OSError, ValueError):  # type: ignore[union-attr]
            while part := pipe.read(256):
                self._stderr.append(part)

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a request; an end of the child shows in the inbox, not here."""
        with contextlib.suppress(OSError, ValueError):
            write_message(self.process.stdin, head, body)  # type: ignore[arg-type]

    def send_request(
        self, head: dict[str, Any], body: bytes, shape: tuple[int, int, int] | None
    ) -> FrameRing | None:
        """Send a request; for one that returns frames, lay out the ring before.

        Args:
            head, body: the request.
            shape: height, width and number of slots of the frames to come, or None.
        """
        ring = None
        if shape is not None:
            height, width, slots = shape
            if self.ring != NO_RING:
                os.ftruncate(self.ring, height * width * 3 * slots)
            ring = FrameRing(self.ring, height, width, slots)
        self.fresh = False
        self.send(head, body)
        return ring

    def last_words(self) -> str:
        """How it ended, and the last line that it printed."""
        code = self.process.wait()
        how = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = signal.Signals(-code).name
        lines = b"".join(self._stderr).decode(errors="replace").strip().splitlines()
        return f"{how}; it last printed {lines[-1].strip()[:200]!r}" if lines else how

    def kill(self) -> None:
        """End it now and leave no zombie."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError, ValueError):
            # The reading threads close the other pipes once they see the end.
            self.process.stdin.close()  # type: ignore[union-attr]
        self._close_ring()

    def _close_ring(self) -> None:
        if self.ring != NO_RING:
            os.close(self.ring)
            self.ring = NO_RING
