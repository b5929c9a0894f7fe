"""Memory that is left for what a user or a stranger's file asks for, looked up before it is taken."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from tilewright.targets.errors import InputError

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

UNLIMITED = 2**63
_SYSTEM = Path("/proc/meminfo")
_PROCESS = Path("/proc/self/statm")
_GROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def check_memory(size: int, what: str) -> None:
    """Raise ``InputError`` if there is less memory than so many bytes. what: asks for them, for the sentence."""
    left = memory_left()
    if size > left:
        raise InputError(f"{what} would take {size:,} bytes of memory, and there are {left:,}")


def memory_there() -> int:
    """Bytes that this process may take in all: of what the system has, within limits on the process and its group."""
    limits = [_own_limit()]
    with suppress(OSError, AttributeError, ValueError):  # not on every system
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits + [int(text) for text in map(_read, _GROUP) if text.strip().isdigit()])


def memory_left() -> int:
    """Bytes that this process may still take."""
    limits = [memory_there()]
    available = re.search(r"MemAvailable:\s*(\d+) kB", _read(_SYSTEM))
    if available:
        limits.append(int(available[1]) * 1024)
    pages = _read(_PROCESS).split()
    if pages:
        limits.append(max(0, _own_limit() - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")))
    return min(limits)


def _own_limit() -> int:
    own = resource.getrlimit(resource.RLIMIT_AS)[0] if resource is not None else UNLIMITED
    return UNLIMITED if resource is None or own == resource.RLIM_INFINITY else own


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
