"""What the commands print: text for people or JSON for programs on stdout, the rest on stderr."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from videomm.errors import VideommError

_BAR_WIDTH = 24


class Output:
    """One place for everything a command prints.

    Args:
        as_json: one JSON object a line instead of text.
        quiet: no log lines on stderr; errors are still said.
    """

    def __init__(self, *, as_json: bool, quiet: bool = False) -> None:
        self.as_json = as_json
        self.failed = False
        # Never wrapped or coloured when piped: rich sees that stdout is no terminal.
        self._console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = 10_000
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("videomm: %(message)s"))
        logger = logging.getLogger("videomm")
        logger.handlers[:] = [handler]
        logger.setLevel(logging.ERROR if quiet else logging.WARNING)
        logger.propagate = False

    @property
    def exit_code(self) -> int:
        """1 where a file failed, else 0."""
        return int(self.failed)

    def record(self, values: dict[str, Any]) -> None:
        """Print one JSON object; non-finite numbers never get this far."""
        print(json.dumps(values, allow_nan=False), flush=True)

    def text(self, line: str | Text = "") -> None:
        """Print one line for people; with JSON there are none."""
        if not self.as_json:
            self._console.print(line)

    def figures(self, metrics: dict[str, Any]) -> None:
        """Print figures beside their floors, and what to know about them."""
        from videomm.render.figures import figure_columns, figure_rows, gain_text

        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 2))
        for name in ("", *figure_columns(metrics)):
            table.add_column(name)
        for row in figure_rows(metrics):
            table.add_row(*map(Text, row))
        self.table(table)
        if sentence := gain_text(metrics["gain"]):
            self.text(f"  {sentence}")
        self.warnings(metrics["warnings"])
        self.skipped(metrics["skipped"])

    def skipped(self, rows: list[dict[str, Any]]) -> None:
        """Print which files of a data set could not be read."""
        self.warnings([f"skipped: {item['message']}" for item in rows])

    def error(self, path: str, error: VideommError) -> None:
        """Print what went wrong with one file, and remember that something did."""
        self.failed = True
        if self.as_json:
            self.record({"path": path, "error": {"kind": error.kind, "message": str(error)}})
        else:
            print(f"videomm: {error}", file=sys.stderr)

    def warnings(self, warnings: list[str]) -> None:
        """Print a result's warnings beside it."""
        for warning in warnings:
            self.text(Text(f"  ! {warning}", style="yellow"))

    def labels(self, rows: list[tuple[str, float]]) -> None:
        """Print labels with scores as bars."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 2))
        table.add_column(justify="right")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        for label, score in rows:
            bar = "█" * round(score * _BAR_WIDTH)
            table.add_row(Text(f"{score:.2f}"), Text(label), Text(bar, style="cyan"))
        self.table(table)

    def table(self, table: Table) -> None:
        """Print a table, as wide as it needs where stdout is no terminal."""
        self._console.print(table)
