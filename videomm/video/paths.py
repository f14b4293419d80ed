"""Paths before any decoder sees them: each kind of bad input has its own error."""

from __future__ import annotations

import os
import re
import stat

from videomm.errors import (
    EmptyVideoError,
    InvalidInputError,
    RemoteVideoError,
    VideoIsDirectoryError,
    VideoNotFoundError,
    VideoUnreadableError,
)

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3g2", "3gp", "264", "265", "asf", "avi", "divx", "dv", "f4v", "flv", "gif", "h264"),
        *("h265", "hevc", "ivf", "m1v", "m2ts", "m2v", "m4v", "mjpeg", "mjpg", "mkv", "mov"),
        *("mp4", "mpe", "mpeg", "mpg", "mts", "mxf", "ogm", "ogv", "rm", "rmvb", "swf", "ts"),
        *("vob", "webm", "wmv", "y4m"),
    )
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def check_path(path: str | os.PathLike[str]) -> str:
    """Return `path` as text once it is known to be a readable file with bytes in it.

    Devices and pipes are refused too: opening them can block for ever.

    Raises:
        InvalidInputError: not a path at all.
        RemoteVideoError: a URL.
        VideoNotFoundError, VideoIsDirectoryError, VideoUnreadableError, EmptyVideoError.
    """
    try:
        name = os.fsdecode(os.fspath(path))
    except TypeError as error:
        raise InvalidInputError(
            f"a video is given as a path (str or os.PathLike), got {type(path).__name__}"
        ) from error
    if _URL.match(name):
        raise RemoteVideoError(
            f"{name!r} is a URL; only local files are read: download it first, then give its path"
        )
    try:
        found = os.stat(name)
    except PermissionError as error:
        raise VideoUnreadableError(
            f"{name!r} may not be read: permission denied on its folder; check the rights"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoNotFoundError(
            f"{name!r}: {reason}; expected a video file, check the spelling of the path"
        ) from error
    if stat.S_ISDIR(found.st_mode):
        raise VideoIsDirectoryError(
            f"{name!r} is a folder; expected one video file, give the files in it instead"
        )
    if not stat.S_ISREG(found.st_mode):
        raise VideoUnreadableError(
            f"{name!r} is not an ordinary file (a device, pipe or socket); copy it to a file first"
        )
    if not os.access(name, os.R_OK):
        raise VideoUnreadableError(f"{name!r} may not be read: permission denied; check its rights")
    if found.st_size == 0:
        raise EmptyVideoError(
            f"{name!r} is empty (0 bytes); expected a video file, fetch or export it again"
        )
    return name


def videos_below(folder: str) -> list[str]:
    """Files in a folder and all folders below it whose names end as videos' do, sorted.

    Hidden ones are left out: beside `clip.mp4` a disk may have `._clip.mp4`, which is no video.
    """
    return sorted(
        os.path.join(base, name)
        for base, _, files in os.walk(folder)
        for name in files
        if os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES and not name.startswith(".")
    )
