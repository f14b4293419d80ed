import errno
import json
import logging
import os
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.test_types import make_timeline
from videomm.cache import TimelineCache, default_cache_dir
from videomm.errors import InvalidInputError


@pytest.fixture
def video(tmp_path):
    """Any bytes do: the cache never looks inside. Old enough to get a memo."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"video " * 1000)
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture
def cache(tmp_path):
    return TimelineCache(tmp_path / "cache")


def same(a, b):
    return (
        np.array_equal(a.embeddings, b.embeddings)
        and np.array_equal(a.times, b.times)
        and all(
            getattr(a, name) == getattr(b, name)
            for name in vars(a)
            if name not in ("embeddings", "times")
        )
    )


def test_round_trip_keeps_everything(cache, video):
    timeline = make_timeline(thumbnails=(b"one", b"three"), warnings=("w",), complete=False)
    key = cache.key(video, encoder="e")
    assert cache.get(key, "a.mp4") is None
    cache.put(key, timeline)
    assert same(cache.get(key, "a.mp4"), timeline)
    assert cache.get(key, "elsewhere.mp4").path == "elsewhere.mp4"


def test_key_follows_content_and_settings_and_not_the_path(cache, video, tmp_path):
    key = cache.key(video, encoder="e", sampling={"fps": 2})
    copy = tmp_path / "b.mp4"
    copy.write_bytes(video.read_bytes())
    assert cache.key(copy, encoder="e", sampling={"fps": 2}) == key
    assert cache.key(video, encoder="f", sampling={"fps": 2}) != key
    assert cache.key(video, encoder="e", sampling={"fps": 3}) != key
    copy.write_bytes(video.read_bytes() + b"!")
    assert cache.key(copy, encoder="e", sampling={"fps": 2}) != key


def test_known_file_is_not_read_again(cache, video, monkeypatch):
    key = cache.key(video)
    assert cache.usage().memos == 1

    def refuse(*args, **kwargs):
        raise AssertionError("the file was read again")

    monkeypatch.setattr("videomm.cache.hashlib.file_digest", refuse)
    assert cache.key(video) == key


def test_changed_file_is_read_again_even_with_its_old_size(cache, video):
    key = cache.key(video)
    video.write_bytes(b"VIDEO " * 1000)
    assert cache.key(video) != key


def test_file_written_just_now_gets_no_memo(cache, video):
    os.utime(video)
    cache.key(video)
    assert cache.usage().memos == 0


@pytest.mark.parametrize("where", [0, 20, 300, -1])
def test_damaged_entry_is_dropped_with_a_warning(cache, video, where, caplog):
    key = cache.key(video)
    cache.put(key, make_timeline())
    entry = cache.directory / f"{key}.safetensors"
    data = bytearray(entry.read_bytes())
    data[where] ^= 0x04
    entry.write_bytes(data)
    with caplog.at_level(logging.WARNING, "videomm"):
        assert cache.get(key, "a.mp4") is None
    assert "is damaged and is made anew" in caplog.text
    assert not entry.exists()


def test_truncated_entry_is_dropped(cache, video):
    key = cache.key(video)
    cache.put(key, make_timeline())
    entry = cache.directory / f"{key}.safetensors"
    for size in (0, 5, 100, entry.stat().st_size - 1):
        cache.put(key, make_timeline())
        entry.write_bytes(entry.read_bytes()[:size])
        assert cache.get(key, "a.mp4") is None


def test_is_the_users_alone(cache, video):
    cache.put(cache.key(video), make_timeline())
    assert stat.S_IMODE(cache.directory.stat().st_mode) == 0o700


def test_least_recently_used_goes_first(cache):
    big = make_timeline(thumbnails=(b"x" * 50_000, b"y" * 50_000))
    cache.max_bytes = 250_000
    for age, key in ((30, "a"), (20, "b")):
        cache.put(key, big)
        past = time.time() - age
        os.utime(cache.directory / f"{key}.safetensors", (past, past))
    assert cache.get("a", "v") is not None  # now the younger of the two
    cache.put("c", big)
    assert cache.get("b", "v") is None
    assert cache.get("a", "v") is not None
    assert cache.get("c", "v") is not None
    assert cache.usage().num_bytes <= 250_000


def test_half_written_files_of_a_dead_process_go(cache):
    cache.put("a", make_timeline())
    for name, age in (("old.part", 7200), ("new.part", 0)):
        (cache.directory / name).write_bytes(b"half")
        past = time.time() - age
        os.utime(cache.directory / name, (past, past))
    TimelineCache(cache.directory).put("b", make_timeline())
    left = {entry.name for entry in cache.directory.glob("*.part")}
    assert left == {"new.part"}


def test_clear_leaves_what_is_not_ours(cache):
    cache.put("a", make_timeline())
    (cache.directory / "thesis.docx").write_text("mine")
    before = cache.clear()
    assert before.timelines == 1
    assert [entry.name for entry in cache.directory.iterdir()] == ["thesis.docx"]
    assert cache.usage().num_bytes == 0


def test_unwritable_place_costs_a_warning_and_nothing_else(tmp_path, video, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    cache = TimelineCache(blocked / "cache")
    with caplog.at_level(logging.WARNING, "videomm"):
        key = cache.key(video)
        cache.put(key, make_timeline())
    assert caplog.text.count("not cached in") == 1
    assert cache.get(key, "a") is None


def test_full_disk_leaves_nothing_half_written(cache, monkeypatch, caplog):
    cache.put("a", make_timeline())

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("videomm.cache.os.replace", full)
    with caplog.at_level(logging.WARNING, "videomm"):
        cache.put("b", make_timeline())
    assert "No space left on device" in caplog.text
    assert [entry.name for entry in cache.directory.iterdir()] == ["a.safetensors"]


WRITER = """
import sys, numpy as np
from tests.test_types import make_timeline
from videomm.cache import TimelineCache
cache = TimelineCache(sys.argv[1], max_bytes=60_000)
for i in range(150):
    key = f"k{i % 7}"
    known = cache.get(key, "v")
    assert known is None or known.thumbnails == (b"a" * 5000, b"b" * 5000)
    cache.put(key, make_timeline(thumbnails=(b"a" * 5000, b"b" * 5000)))
    cache.usage()
"""


def test_two_processes_share_one_folder(cache):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(cache.directory)]) for _ in range(2)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert not list(cache.directory.glob("*.part"))
    assert cache.usage().num_bytes <= 60_000


def test_place_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("VIDEOMM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "videomm"
    monkeypatch.setenv("VIDEOMM_CACHE", str(tmp_path / "mine"))
    assert TimelineCache().directory == tmp_path / "mine"


def test_broken_memo_is_ignored(cache, video):
    key = cache.key(video)
    (memo,) = cache.directory.glob("*.memo")
    for text in ("", "[]", "{}", json.dumps({"facts": [], "digest": "x"})):
        memo.write_text(text)
        assert cache.key(video) == key


def test_limit_must_be_positive(tmp_path):
    with pytest.raises(InvalidInputError, match="max_bytes must be at least 1, got 0"):
        TimelineCache(tmp_path, max_bytes=0)
