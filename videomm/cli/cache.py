"""`videomm cache`"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from videomm.cli import options
from videomm.cli.output import Output


def command(
    clear: Annotated[bool, typer.Option("--clear", help="Remove every cached timeline.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show where timelines are cached and how much they take, or clear them.

    The folder is $VIDEOMM_CACHE, else ~/.cache/videomm.

    Example: videomm cache --clear
    """
    from videomm.cache import TimelineCache

    output = Output(as_json=as_json)
    cache = TimelineCache()
    usage = cache.clear() if clear else cache.usage()
    if as_json:
        output.record({**asdict(usage), "cleared": clear})
        return
    held = f"{usage.timelines} timelines, {usage.num_bytes / 1e6:.1f} MB"
    limit = f"limit {usage.max_bytes / 1e6:.0f} MB"
    output.text(f"{usage.directory}: {held} ({'now cleared' if clear else limit})")
