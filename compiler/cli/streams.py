"""Standard output and standard error as they may be: closed, full, or unable to show every letter."""

from __future__ import annotations

import codecs
import io
import os
import sys

ESCAPED = "tilewright-escaped"
"""Name of the error handler that writes letters an encoding lacks as JSON escapes them, so that JSON stays JSON."""


def open_streams() -> None:
    """Make streams that can be written to of those that are closed or whose encoding lacks letters."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _occupy(number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
    codecs.register_error(ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


def write_out() -> OSError | None:
    """Write what is still held back. Returns what prevented it, after which the streams lead nowhere."""
    problem = None
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            problem = problem or error
            _occupy(number)
    return problem


def _occupy(number: int) -> None:
    """Let a number of the standard streams lead nowhere: a file that gets it would be written into."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(f"\\u{unit:04x}" for unit in pairs), error.end
