"""tilewright's commands, called in this process as its program calls them, and what they may print."""

import csv
import io
import json
import sys
import unicodedata
from contextlib import nullcontext
from unittest.mock import patch

import typer

from tests.fuzz import hostile
from tests.fuzz.child import caught_output
from tests.fuzz.verdict import OUT_OF_MEMORY, Fell
from tilewright.compiler.cli import app as commands
from tilewright.compiler.cli import main

LINE_ENDS = {"terminal": "\n", "csv": "\r\n", "cell": "", "markdown": "\n"}


def called(command, *arguments, printed="terminal", **options):
    """True if the command succeeded: the other allowed end is a refusal, in one sentence and with code 2.

    command: a function of tilewright.compiler.cli. printed: what its standard output is, to be checked.
    """
    return _program(lambda *_, **__: command(*arguments, **options), printed)


def typed(words, printed="terminal"):
    """True if a command succeeded that is given in words as they are typed in a shell."""
    with patch.object(sys, "argv", ["tilewright", *map(str, words)]):
        return _program(None, printed)


def refused(error):
    """Let the program say an error that a function raised."""

    def fail(*_, **__):
        raise error

    _program(fail, "terminal")


def _program(instead, printed):
    with caught_output() as (output, errors):
        try:
            with patch.object(commands, "app", instead) if instead is not None else nullcontext():
                main()
            code: str | int | None = 0
        except SystemExit as leaving:
            code = leaving.code
        except typer.Exit as leaving:
            code = leaving.exit_code
        said, complained = _content(output), _content(errors)
    if any(words in complained for words in OUT_OF_MEMORY):
        raise Fell("memory", complained[:300])
    if code not in (0, None, 2):
        raise Fell("exit code", f"{code}: {complained[-200:]!r}")
    check_text(said, printed)
    check_text(complained, "terminal")
    return code != 2


def _content(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()


def check_text(text, kind):
    """Raises ``Fell`` if a text of that kind (terminal, csv, markdown, html, json, trace) holds what it must not."""
    if kind in LINE_ENDS:
        _check_controls(text, kind)
    if kind == "csv":
        _check_cells(text)
    if kind == "html":
        _check_markup(text)
    if kind in ("json", "trace") and text:
        json.loads(text, parse_constant=_no_constant)


def _check_controls(text, kind):
    bad = {c for c in set(text) - set(LINE_ENDS[kind]) if unicodedata.category(c) in ("Cc", "Cs")}
    if bad:
        where = min(text.index(c) for c in bad)
        raise Fell("control characters", f"{sorted(bad)} in {text[max(0, where - 60) : where + 20]!r}", kind)


def _check_cells(text):
    for row in csv.reader(io.StringIO(text, newline="")):
        for cell in row:
            if cell[:1] in ("=", "@"):
                raise Fell("formula", repr(cell[:80]), "csv")
            check_text(cell, "cell")


def _check_markup(text):
    for part in hostile.UNESCAPED:
        if part in text:
            raise Fell("markup", f"{text[max(0, text.index(part) - 60) : text.index(part) + 60]!r}", "html")


def _no_constant(name):
    raise Fell("JSON", f"holds {name}")
