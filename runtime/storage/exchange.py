"""Exchange of two names of one file system, in one step where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from tilewright.runtime.storage.c_library import c_library

_AT_CWD = -100
_EXCHANGE = 2
_NOT_OFFERED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


def exchange(one: Path, other: Path) -> bool:
    """Exchange two files or folders. Returns True if it was done: not every system and file system can.

    Raises ``OSError`` if one of them is not there or may not be renamed.
    """
    function = getattr(c_library(), "renameat2", None)  # Linux's
    if function is None:
        return False
    names = [ctypes.c_char_p(os.fsencode(path)) for path in (one, other)]
    if function(_AT_CWD, names[0], _AT_CWD, names[1], ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        return False
    raise OSError(number, os.strerror(number), str(other))
