"""The decoding process: killed, stopped, orphaned, interrupted, shared; and nothing is left."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.clips import Clip, Clips, read_counter
from tests.video.conftest import alive, cpu_seconds, gone_within
from videomm.config import DecodingConfig
from videomm.errors import (
    DecoderCrashedError,
    DecodeTimeoutError,
    InvalidInputError,
    NotAVideoError,
)
from videomm.types import Frames
from videomm.video.reader import open_video
from videomm.video.worker import DecodeWorker

ROOT = Path(__file__).parents[2]


def right(frames: Frames, clip: Clip) -> bool:
    return [read_counter(picture, clip) for picture in frames.pixels] == [
        round(time * 25) for time in frames.times
    ]


def dense(clip: Clip) -> list[float]:
    """Every frame: far more than fit into the read-ahead."""
    return list(clip.times)


@pytest.fixture
def clip(clips: Clips) -> Clip:
    return clips.get("hevc_sparse")  # 248 frames, by PyAV


def test_kill_9_costs_that_file_only(clip: Clip, worker: DecodeWorker) -> None:
    reader = open_video(clip.path, worker=worker)
    batches = reader.iter_frames_at(dense(clip), batch_size=4)
    delivered = [next(batches)]
    (pid,) = worker.pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DecoderCrashedError, match="SIGKILL") as caught:
        delivered += batches
    assert "\n" not in str(caught.value)
    assert all(right(batch, clip) for batch in delivered)
    assert gone_within(pid, 1)
    again = open_video(clip.path, worker=worker)
    assert right(again.get_frames_at([1.0, 2.0]), clip)
    assert pid not in worker.pids


def test_frames_that_came_before_a_crash_are_delivered(clip: Clip, worker: DecodeWorker) -> None:
    batches = open_video(clip.path, worker=worker).iter_frames_at(dense(clip), batch_size=100)
    got: list[Frames] = []

    def kill_soon() -> None:
        time.sleep(0.01)
        while not (pids := worker.pids):
            time.sleep(0.001)
        time.sleep(0.05)
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_soon)
    killer.start()

    def read_slowly() -> None:
        for batch in batches:
            got.append(batch)
            time.sleep(0.3)

    with pytest.raises(DecoderCrashedError):
        read_slowly()
    killer.join()
    assert all(right(batch, clip) for batch in got)


def test_a_crash_message_quotes_what_was_printed_last(clip: Clip, worker: DecodeWorker) -> None:
    batches = open_video(clip.path, worker=worker).iter_frames_at(dense(clip), batch_size=4)
    next(batches)
    (pid,) = worker.pids
    with open(f"/proc/{pid}/fd/2", "wb", buffering=0) as stderr:
        stderr.write(b"x" * 100_000 + b"\n[h264] a native complaint\n")
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DecoderCrashedError, match=r"last printed '\[h264\] a native complaint'"):
        list(batches)


def test_a_worker_killed_while_idle_is_replaced_unseen(clip: Clip, worker: DecodeWorker) -> None:
    reader = open_video(clip.path, worker=worker)
    for wait in (0.0, 0.0, 0.0, 0.2):
        (pid,) = worker.pids
        os.kill(pid, signal.SIGKILL)
        time.sleep(wait)
        assert right(reader.get_frames_at([3.0]), clip)
        assert worker.pids != [pid]


def test_a_hang_ends_at_the_deadline(clip: Clip, worker: DecodeWorker) -> None:
    config = DecodingConfig(timeout_seconds=1.0, timeout_per_second=0.0)
    batches = open_video(clip.path, config, worker=worker).iter_frames_at(dense(clip), batch_size=4)
    first = next(batches)
    (pid,) = worker.pids
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(DecodeTimeoutError, match="longer than its 1 s") as caught:
        list(batches)
    assert time.monotonic() - started < 5
    assert "\n" not in str(caught.value)
    assert right(first, clip)
    assert gone_within(pid, 1)
    assert right(open_video(clip.path, worker=worker).get_frames_at([1.0]), clip)


def test_a_hang_while_probing_ends_at_the_deadline(clip: Clip, worker: DecodeWorker) -> None:
    open_video(clip.path, worker=worker)
    (pid,) = worker.pids
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(DecodeTimeoutError):
        open_video(clip.path, DecodingConfig(timeout_seconds=0.5), worker=worker)
    assert gone_within(pid, 1)


def test_a_slow_consumer_is_not_late(clip: Clip, worker: DecodeWorker) -> None:
    config = DecodingConfig(timeout_seconds=1.0, timeout_per_second=0.0)
    reader = open_video(clip.path, config, worker=worker)
    for batch in reader.iter_frames_at(dense(clip)[:60], batch_size=20):
        time.sleep(0.6)
        assert right(batch, clip)


def test_closing_the_iterator_stops_decoding(clip: Clip, worker: DecodeWorker) -> None:
    batches = open_video(clip.path, worker=worker).iter_frames_at(dense(clip), batch_size=2)
    next(batches)
    (pid,) = worker.pids
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < 1
    assert worker.pids == [pid]  # stopped, not killed
    used = cpu_seconds(pid)
    time.sleep(0.3)
    assert cpu_seconds(pid) - used < 0.05
    assert right(open_video(clip.path, worker=worker).get_frames_at([1.0]), clip)


def test_reading_ahead_is_bounded(clips: Clips, worker: DecodeWorker) -> None:
    clip = clips.get("h264_long_gop")
    reader = open_video(clip.path, DecodingConfig(decoder="pyav"), worker=worker)
    batches = reader.iter_frames_at(dense(clip), batch_size=1)
    next(batches)
    (pid,) = worker.pids
    time.sleep(0.5)
    used = cpu_seconds(pid)
    time.sleep(0.5)
    assert cpu_seconds(pid) - used < 0.05
    # One in hand, one held back, the ring, and one on its way: the rest is still to come.
    assert sum(map(len, batches)) == 239


def test_two_readers_in_turns(clips: Clips, worker: DecodeWorker) -> None:
    one, other = clips.get("h264_ts"), clips.get("h264_mp4")
    streams = [
        open_video(clip.path, worker=worker).iter_frames_at(clip.times, batch_size=5)
        for clip in (one, other)
    ]
    for first, second in itertools.zip_longest(*streams):
        assert right(first, one)
        assert right(second, other)
        assert np.array_equal(first.times, second.times)
    assert len(worker.pids) == 1  # the second process went when it was no longer needed


def test_many_threads_share_a_worker(clips: Clips, worker: DecodeWorker) -> None:
    names = ["h264_ts", "h264_mp4", "hevc_mp4", "mpeg1_ps"]
    wrong: list[object] = []

    def read(name: str) -> None:
        try:
            clip = clips.get(name)
            reader = open_video(clip.path, worker=worker)
            for _ in range(3):
                if not right(reader.get_frames_at(clip.times[::3]), clip):
                    wrong.append(name)
        except Exception as error:
            wrong.append(error)

    for name in names:
        clips.get(name)
    threads = [threading.Thread(target=read, args=(name,)) for name in names * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(worker.pids) == 1


def test_one_reader_in_many_threads(clip: Clip, worker: DecodeWorker) -> None:
    reader = open_video(clip.path, worker=worker)
    results: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(right(reader.get_frames_at([0.5, 4.0]), clip))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_outlives_the_thread_that_started_it(clip: Clip, worker: DecodeWorker) -> None:
    """Linux would end the child with the thread that forked it."""
    starter = threading.Thread(target=lambda: open_video(clip.path, worker=worker))
    starter.start()
    starter.join()
    (pid,) = worker.pids
    time.sleep(0.2)
    assert alive(pid)
    assert right(open_video(clip.path, worker=worker).get_frames_at([1.0]), clip)
    assert worker.pids == [pid]


def test_frames_come_without_a_ring_too(clip: Clip, monkeypatch) -> None:
    """As on systems where a descriptor cannot be handed to a child."""
    from videomm.video import decoding_process as module

    monkeypatch.setattr(module, "open_ring_file", lambda: module.NO_RING)
    with DecodeWorker() as worker:
        reader = open_video(clip.path, worker=worker)
        assert right(reader.get_frames_at(clip.times, short_side=48), clip)


def test_a_closed_worker_says_so(clip: Clip) -> None:
    worker = DecodeWorker()
    reader = open_video(clip.path, worker=worker)
    batches = reader.iter_frames_at(dense(clip), batch_size=2)
    next(batches)
    worker.close()
    worker.close()
    with pytest.raises(DecoderCrashedError):
        list(batches)
    with pytest.raises(InvalidInputError, match="closed"):
        open_video(clip.path, worker=worker)
    assert worker.pids == []


def test_errors_leave_the_process_running(clip: Clip, worker: DecodeWorker, tmp_path) -> None:
    open_video(clip.path, worker=worker)
    before = worker.pids
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(NotAVideoError):
        open_video(tmp_path / "text.mp4", worker=worker)
    assert worker.pids == before


def test_a_fork_gets_a_worker_of_its_own(clip: Clip) -> None:
    reader = open_video(clip.path)
    assert right(reader.get_frames_at([1.0]), clip)
    forked = os.fork()
    if forked == 0:
        code = 1
        try:
            code = 0 if right(open_video(clip.path).get_frames_at([2.0]), clip) else 2
            code = code or (0 if right(reader.get_frames_at([3.0]), clip) else 3)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert right(reader.get_frames_at([4.0]), clip)


# A user's script without `if __name__ == "__main__"`, which multiprocessing would start again.
SCRIPT = """
import sys, time
from videomm.video.reader import open_video
from videomm.video.worker import default_worker
batches = open_video(sys.argv[1]).iter_frames_at([i / 25 for i in range(248)], batch_size=1)
next(batches)
print(*default_worker().pids, flush=True)
{then}
"""


def run_script(clip: Clip, then: str) -> tuple[subprocess.Popen[str], int]:
    """A script in a terminal session of its own, and its worker's process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(then=then), str(clip.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("state", ["waiting", "hanging"])
def test_a_killed_parent_leaves_no_process(clip: Clip, state: str) -> None:
    process, pid = run_script(clip, "time.sleep(60)")
    if state == "hanging":
        os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert gone_within(pid, 3)


def test_the_end_of_the_pipe_alone_ends_the_child(tmp_path) -> None:
    """Where the kernel cannot tie the child to its parent."""
    from videomm.video.decoding_process import BOOT

    boot = [sys.executable, "-P", "-c", BOOT, str(os.getpid()), "-1"]
    boot.append(json.dumps([str(ROOT), *sys.path]))
    process = subprocess.Popen(boot, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.read(8)  # it is ready
    assert process.stdin
    process.stdin.close()
    assert process.wait(timeout=5) == 0
    process.stdout.close()


@pytest.mark.parametrize(
    ("then", "code"), [("", 0), ("sys.exit(3)", 3), ("raise SystemExit(4)", 4)]
)
def test_a_parent_that_ends_takes_its_worker_along(clip: Clip, then: str, code: int) -> None:
    process, pid = run_script(clip, then)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, "")
    assert gone_within(pid, 1)


def test_ctrl_c_is_clean(clip: Clip) -> None:
    then = "\n".join(
        [
            "try:",
            "    time.sleep(30)",
            "except KeyboardInterrupt:",
            "    batches.close()",
            "    print('stopped', *default_worker().pids, flush=True)",
        ]
    )
    process, pid = run_script(clip, then)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
    out, errors = process.communicate(timeout=20)
    assert (out.strip(), errors, process.returncode) == (f"stopped {pid}", "", 0)
    assert gone_within(pid, 1)


def test_ctrl_c_while_waiting_for_a_frame(clip: Clip) -> None:
    then = "import os, signal\nos.kill(default_worker().pids[0], signal.SIGSTOP)\nlist(batches)"
    process, pid = run_script(clip, then)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert errors.strip().endswith("KeyboardInterrupt")
    assert gone_within(pid, 1)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")
def test_no_named_memory_is_left(clip: Clip) -> None:
    before = set(os.listdir("/dev/shm"))
    process, pid = run_script(clip, "time.sleep(60)")
    assert set(os.listdir("/dev/shm")) <= before
    os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate()
    assert set(os.listdir("/dev/shm")) <= before


def test_native_chatter_stays_off_the_terminal(clips: Clips, tmp_path) -> None:
    data = bytearray(clips.get("h264_mp4").path.read_bytes())
    at = data.index(b"mdat") + 3000
    data[at : at + 2000] = os.urandom(2000)
    path = tmp_path / "noisy.mp4"
    path.write_bytes(data)
    script = (
        "import sys\nfrom videomm.video.reader import open_video\n"
        "print(len(open_video(sys.argv[1]).get_frames_at([0.0, 2.9])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() in {"1", "2"}


def test_importing_costs_neither_torch_nor_decoders() -> None:
    script = (
        "import sys, videomm.video.reader, videomm.video.probe, videomm.video.pyav_decoder\n"
        "print(sorted({'torch', 'av', 'decord'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
