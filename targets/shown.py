"""Strangers' words in sentences: cut where they are long, and with nothing in them that a terminal obeys."""

from __future__ import annotations

import re
import reprlib
from typing import Any

LONGEST = 80
"""Letters of a value that a sentence shows, at most."""
LONGEST_NUMBER = 2**128
"""Smallest whole number of which a sentence tells only the size."""

_SPACES = re.compile(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")


def visible(text: str) -> str:
    r"""The text in one line; characters that cannot be seen, such as those that steer a terminal, as ``\x1b``."""
    if text.isprintable():
        return text
    line = _SPACES.sub(" ", text)
    return "".join(sign if sign.isprintable() or sign.isspace() else ascii(sign)[1:-1] for sign in line)


def shown(value: Any, longest: int = LONGEST) -> str:
    """A value of a document as Python writes it, cut to so many letters without ever writing all of a large one."""
    short = _Short(longest).repr(value)
    return short if len(short) <= longest else short[: longest - 3] + "..."


class _Short(reprlib.Repr):
    def __init__(self, longest: int) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 4, longest, longest

    def repr_int(self, x: int, level: int) -> str:
        """A whole number; Python refuses to write those of thousands of digits."""
        return repr(x) if abs(x) < LONGEST_NUMBER else f"a number of {x.bit_length()} bits"
