"""Consoles of the command line: results go to standard output, all else to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tilewright.compiler.cli.options import TABLE_FORMATS
from tilewright.compiler.report.finite_json import json_text
from tilewright.compiler.report.plain_console import PlainConsole
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import visible

if TYPE_CHECKING:
    from tilewright.compiler.report.written_table import WrittenTable

PIPED_WIDTH = 132
"""Columns where there is no terminal to ask."""

output = PlainConsole(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
errors = PlainConsole(stderr=True, highlight=False)

LINE_EVERY = 10.0
"""Seconds between lines of progress, where standard error is no terminal."""
Advance = Callable[[int, int, str], None]


def print_json(value: Any) -> None:
    """Print a result for machines. JSON has no NaN: what is not a finite number becomes null."""
    print(json_text(value))


def check_format(format: str) -> None:
    """Raise ``InputError`` with the nearest name unless tables are printed in that format."""
    if format not in TABLE_FORMATS:
        raise InputError(f"format is {format!r}; {nearest(format, TABLE_FORMATS)}")


def print_table(table: WrittenTable, format: str) -> None:
    """Print a table for a terminal, or as text in a format for files."""
    if format == "terminal":
        output.print(table.terminal())
    else:
        print(table.written(format), end="")  # type: ignore[arg-type]


@contextmanager
def progress_bar(what: str) -> Iterator[Advance]:
    """A bar on standard error; call the result with how many steps are done, of how many, and the last one's name.

    Where standard error is no terminal there is a line instead, at most every ``LINE_EVERY`` seconds.
    """
    if not errors.is_terminal:
        yield _Lines(what)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, count: int, name: str) -> None:
            progress.update(task, completed=done, total=count, description=visible(f"{what}: {name}"))

        yield advance


class _Lines:
    """Progress as lines, few enough for a log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, count: int, name: str) -> None:
        now = time.monotonic()
        if now - self._said >= LINE_EVERY:
            self._said = now
            line = f"{visible(self._what)}: {done} of {count}, {now - self._began:.0f} s: {visible(name)}"
            errors.print(line, soft_wrap=True)
