"""Locks between processes. The system lets go of them when a process ends, however it ends."""

from __future__ import annotations

import time

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

PATIENCE = 10.0
"""Seconds to wait for a file: a process that holds one for longer is not writing to it."""
_PAUSE = 0.005


def try_lock(handle: int) -> bool | None:
    """Hold an open file until it is closed. Returns True if it is held now; None where the system has no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without them
        return None
    return True


def wait_for_lock(handle: int, patience: float = PATIENCE) -> None:
    """Hold an open file until it is closed, once no other process does; after ``patience`` seconds go on without."""
    give_up = time.monotonic() + patience
    while try_lock(handle) is False and time.monotonic() < give_up:
        time.sleep(_PAUSE)
