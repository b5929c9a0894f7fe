"""Code of a function as bytes that change when the function does."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

from tilewright.runtime.tasks.users_code import OURS


def code_of(function: Callable[..., Any] | None) -> bytes:
    """Code, constants, defaults and plain enclosed values of a Python function of the user's.

    Empty for functions of tilewright, which have versions that are raised by hand, and what is no Python function, such
    as one in C. What the function calls is not looked into.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or (getattr(function, "__module__", None) or "").startswith(OURS):
        return b""
    enclosed = [_cell(cell) for cell in getattr(function, "__closure__", None) or ()]
    return b"\0".join([_bytes(code), _bytes(getattr(function, "__defaults__", None)), *map(_bytes, enclosed)])


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _bytes(part: Any) -> bytes:
    """A constant; of what is neither plain nor code its type alone, whose text may hold a place in memory."""
    if isinstance(part, CodeType):
        return b"\0".join([part.co_code, repr(part.co_names).encode(), *map(_bytes, part.co_consts)])
    if isinstance(part, tuple):
        return b"\0".join(map(_bytes, part))
    if isinstance(part, frozenset):
        return b"\0".join(sorted(map(_bytes, part)))
    plain = part is None or isinstance(part, bool | int | float | complex | str | bytes)
    return (repr(part) if plain else type(part).__qualname__).encode()
