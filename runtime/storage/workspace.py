"""Hidden folders in which files are made before they take their place, and those that processes left which died.

A workspace lies beside what it is for, so that a rename is enough. Its process holds a lock in it: one that nobody
holds is of a process that was killed, and the next to write to that name removes it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from tilewright.runtime.storage.file_lock import try_lock
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, kind_of, real_path, shown_path

LOCK = "lock"
LONGEST_NAME = 200
"""Bytes of a name that its workspace's name repeats, at most: names have 255."""
ATTEMPTS = 100


def check_beside(path: Path) -> None:
    """Raise ``InputError`` unless a workspace can be made beside ``path``, before the work is done."""
    parent = real_path(path).parent
    if kind_of(parent) != FOLDER:
        raise InputError(f"cannot write {shown_path(path)}: the folder {shown_path(parent)} does not exist")
    if not os.access(parent, os.W_OK):
        raise InputError(f"cannot write {shown_path(path)}: no permission to write in {shown_path(parent)}")


def check_may_replace(path: Path, *, overwrite: bool) -> None:
    """Raise ``InputError`` for what is there already, unless it may be replaced."""
    if not overwrite:
        raise InputError(
            f"{shown_path(path)} exists already; choose another name, or overwrite it (--force, in Python "
            "overwrite=True)"
        )


def remove(place: Path) -> None:
    """Remove a workspace with all in it."""
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def workspace(destination: Path, finish: Callable[[Path], None] = remove) -> Iterator[Path]:
    """A hidden folder beside ``destination`` that other processes leave alone.

    finish: removes it at the end, and before that what processes that died left for the same destination.
    """
    for left in abandoned(destination):
        finish(left)
    place, lock = _made(destination)
    try:
        yield place
    finally:
        try:
            finish(place)
        finally:
            os.close(lock)


def abandoned(destination: Path) -> Iterator[Path]:
    """Workspaces for ``destination`` of processes that died, held while they are looked at."""
    prefix = _prefix(destination)
    try:
        entries = [entry for entry in os.scandir(destination.parent) if entry.name.startswith(prefix)]
    except OSError:
        return
    for entry in entries:
        of_another = "." in entry.name[len(prefix) :]  # of a destination whose own name holds such a prefix
        if of_another or not entry.is_dir(follow_symlinks=False):
            continue
        place = Path(entry.path)
        try:
            lock = os.open(place / LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            with suppress(OSError):
                place.rmdir()  # its process died before it could say that it lives
            continue
        except OSError:
            continue
        try:
            if try_lock(lock) and (place / LOCK).exists():
                yield place
        finally:
            os.close(lock)


def _made(destination: Path) -> tuple[Path, int]:
    """A workspace and its held lock."""
    for _ in range(ATTEMPTS):
        place = Path(tempfile.mkdtemp(prefix=_prefix(destination), dir=destination.parent))
        try:
            lock = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            if try_lock(lock) is not False and (place / LOCK).exists():
                return place, lock
            os.close(lock)
        except FileNotFoundError:
            pass  # before it was held, another process took it for abandoned
        except BaseException:
            remove(place)
            raise
    raise OSError(f"{destination.parent} gives no room for a folder to work in")


def _prefix(destination: Path) -> str:
    name = os.fsencode(destination.name)
    shown = destination.name if len(name) <= LONGEST_NAME else blake2b(name, digest_size=16).hexdigest()
    return f".{shown}.tilewright-"
