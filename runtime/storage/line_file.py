"""Files of JSON objects, one a line, to which several processes add, and which may end anywhere.

A line is added in one write, under a lock, on a line of its own: what a killed process left of its last line is removed
first. Reading takes what is whole: such files lie beside plans, and a plan may be a stranger's.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tilewright.runtime.storage.file_lock import wait_for_lock
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FILE, check_file, read_bytes, shown_path

LARGEST_FILE = 2**26
"""Largest file that is read where it lies beside a plan, in bytes."""
LARGEST_LOG = 2**32
"""Largest file of one's own, in bytes: a measurement with its resamples takes 4,000, and a study makes 20,000."""
LONGEST_LINE = 2**20
"""Longest line that is taken for one of tilewright's, in bytes."""


class TornLineError(ValueError):
    """Torn line: the beginning of an object, left by a process that was killed, or zeros, by a machine that stopped."""


def add_line(path: Path, entry: dict[str, Any]) -> None:
    """Add an object. Raises ``InputError`` if there is something else than a file, ``OSError`` if there is no room."""
    line = json.dumps(entry).encode() + b"\n"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        opened = os.open(path, flags, 0o666)
    except FileNotFoundError as error:  # its folder was removed, or takes no new files
        raise InputError(f"{shown_path(path)} cannot be written: its folder is not there or takes no files") from error
    with os.fdopen(opened, "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"{shown_path(path)} is not a regular file, so nothing is added to it")
        wait_for_lock(file.fileno())
        size = _repair(file)
        file.seek(max(0, size - 1))
        if file.read(1) not in (b"", b"\n"):
            line = b"\n" + line
        if size + len(line) > LARGEST_LOG:
            raise InputError(f"{shown_path(path)} is full, at {LARGEST_LOG:,} bytes: go on in another file beside it")
        _write(file, line, size)


def entries(path: Path | None, largest: int = LARGEST_FILE) -> Iterator[Any]:
    """The lines of a file that are whole, whatever is in them; none if there is no file, or one of more bytes."""
    try:
        content = read_bytes(path, FILE, largest) if path is not None else b""
    except InputError:
        return
    for line in content.split(b"\n"):
        with suppress(ValueError, RecursionError):
            yield parsed(line)


def parsed(line: bytes) -> Any:
    """Content of a line, read as JSON.

    Raises ``TornLineError`` if it was not written to its end, ``ValueError`` or ``RecursionError`` if it is not ours.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"{len(line):,} bytes in a line")
    text = line.strip(b"\0 \t\r").decode("utf-8")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not text or text.startswith("{"):
            raise TornLineError(text) from error
        raise


def why_not_added(path: Path) -> str | None:
    """Reason why no lines are added to a file, or to a new one, in half a sentence; None if they can be.

    A stranger may have put the file there.
    """
    if path.is_symlink():  # it may lead to any file of the user's
        return f"{shown_path(path)} is a link, which is not followed"
    if not os.path.lexists(path):
        return None if os.access(path.parent, os.W_OK) else f"no permission to write in {shown_path(path.parent)}"
    try:
        check_file(path, FILE, LARGEST_FILE)
    except InputError as error:
        return str(error)
    return None if os.access(path, os.W_OK) else f"no permission to write to {shown_path(path)}"


def _repair(file: io.FileIO) -> int:
    """Remove a torn line from the end of an open file. Returns the file's size."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - LONGEST_LINE))
    end = file.read()
    last = end[end.rfind(b"\n") + 1 :]
    if last and (start == 0 or len(last) < len(end)):
        try:
            parsed(last)
        except TornLineError:
            size = file.truncate(size - len(last))
        except (ValueError, RecursionError):
            pass  # not ours to remove
    return size


def _write(file: io.FileIO, line: bytes, size: int) -> None:
    """Add a line to a file of that size: all of it, or nothing."""
    try:
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
    except OSError:
        file.truncate(size)
        raise
