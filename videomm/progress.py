"""Progress bars on stderr, for work that a person waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(
    title: str, total: int, *, enabled: bool = True
) -> Iterator[Callable[[int], None]]:
    """Show how far a piece of work is, and how long it will take.

    Args:
        title: what is being worked on.
        total: number of steps.
        enabled: draw nothing when False; nothing is drawn where stderr is no terminal, either.

    Yields:
        A function that takes the number of steps just done.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not (enabled and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)
