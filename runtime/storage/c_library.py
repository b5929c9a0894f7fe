"""Functions of the system's C library that Python does not offer."""

from __future__ import annotations

import ctypes
from functools import cache


@cache
def c_library() -> ctypes.CDLL | None:
    """The C library that is loaded already; None where Python cannot open it."""
    try:
        return ctypes.CDLL(None, use_errno=True)
    except (OSError, TypeError):  # not on Windows
        return None
