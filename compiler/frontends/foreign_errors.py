"""Errors of other libraries, which raise many types of their own, as one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tilewright.targets.errors import InputError

LONGEST = 300


def first_line(error: Exception) -> str:
    """First line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0][:LONGEST] if lines else type(error).__name__


def in_one_line(error: Exception) -> str:
    """All of an error's message, its lines one behind the other."""
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__


@contextmanager
def refusing(what: str, said: Callable[[Exception], str] = first_line) -> Iterator[None]:
    """Raise ``InputError`` for any error inside: ``what`` cannot be done, and what was said of it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what}: {said(error)}") from error
