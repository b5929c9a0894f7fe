"""Functions of the system's C library that Python does not offer, where there are such."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from pathlib import Path

_AT_CWD = -100
_EXCHANGE = 2
_NOT_OFFERED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


@cache
def _c_library() -> ctypes.CDLL | None:
    """The C library that is loaded already; None where Python cannot open it."""
    try:
        return ctypes.CDLL(None, use_errno=True)
    except (OSError, TypeError):  # not on Windows
        return None


def hand_back_freed_memory() -> None:
    """Hand freed memory, which the library keeps for later, back to the system."""
    trim = getattr(_c_library(), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two files or folders in one step. Returns True if it was done: not every system and file system can.

    Raises ``OSError`` if one of them is not there or may not be renamed.
    """
    function = getattr(_c_library(), "renameat2", None)  # Linux's
    if function is None:
        return False
    names = [ctypes.c_char_p(os.fsencode(path)) for path in (one, other)]
    if function(_AT_CWD, names[0], _AT_CWD, names[1], ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        return False
    raise OSError(number, os.strerror(number), str(other))
