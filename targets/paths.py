"""Paths that a user or a stranger's plan names: what lies there, its hash, and reading it whole within a limit.

A path may be longer than the system takes, lead to a device that never ends or to a pipe that nobody writes to: each is
one sentence, before anything is read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

FILE, FOLDER = "file", "folder"
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
_LONGEST_SHOWN = 160
"""Largest number of letters of a path in a sentence."""
SYSTEM_FAULTS = {
    errno.EACCES, errno.EBUSY, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG,
    errno.ENFILE, errno.ENODEV, errno.ENOSPC, errno.ENXIO, errno.EPERM, errno.EROFS, errno.ESTALE, errno.ETXTBSY,
}  # fmt: skip
"""Numbers of system errors that are the machine's or its user's: no room, no permission, a name that is too long."""


def kind_of(path: str | Path) -> str | None:
    """``file``, ``folder``, ``named pipe``, ``socket`` or ``device``, behind links; None if there is nothing.

    Raises ``InputError`` for what the system does not take as a path, or does not let this user look at.
    """
    try:
        return _KINDS.get(stat.S_IFMT(Path(path).stat().st_mode), "thing of another kind")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{shown_path(path)} cannot be used as a path: {reason}") from error


def as_path(given: object, what: str) -> Path:
    """Path that was given. what: its name, for the sentence. Raises ``InputError`` for what cannot be one."""
    if not isinstance(given, str | Path):
        raise InputError(f"{what} is {shown(given)}; it must be a path")
    return Path(given)


def real_path(path: str | Path) -> Path:
    """An absolute path with no links in it, to write to the file that a link leads to.

    Raises ``InputError`` for what the system does not take as a path.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:  # a zero byte
        raise InputError(f"{shown_path(path)} cannot be used as a path: {error}") from error


def shown_path(path: str | Path) -> str:
    """A path in quotes, for sentences: without what a terminal would obey, its middle left out where it is long."""
    text = repr(str(path))
    half = _LONGEST_SHOWN // 2
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:half]}...{text[-half:]}"


def check_file(path: Path, what: str, largest: int) -> None:
    """Raise ``InputError`` unless a regular file of at most ``largest`` bytes is there. what: for the sentence."""
    kind = kind_of(path)
    if kind is None:
        raise InputError(f"there is no {what} {shown_path(path)}")
    if kind != FILE:
        raise InputError(f"{what} {shown_path(path)} is a {kind}, not a regular file")
    size = path.stat().st_size
    if size > largest:
        raise InputError(f"{what} {shown_path(path)} is {size:,} bytes, allowed are {largest:,}")


def read_bytes(path: Path, what: str, largest: int) -> bytes:
    """The content of a regular file of at most ``largest`` bytes. Raises ``InputError`` as ``check_file`` does."""
    check_file(path, what, largest)
    try:
        # not blocking, and not more than asked for: what was checked may have been replaced
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise InputError(f"{what} {shown_path(path)} cannot be read: {error.strerror}") from error
    if len(content) > largest:
        raise InputError(f"{what} {shown_path(path)} is more than {largest:,} bytes, which are allowed")
    return content


def read_lines(path: Path, what: str, largest: int, longest: int) -> Iterator[bytes]:
    """Lines of a regular file of at most ``largest`` bytes, without their ends, one after another.

    A line of more than ``longest`` bytes is cut there, and what follows comes as lines of its own. Raises
    ``InputError`` as ``check_file`` does.
    """
    check_file(path, what, largest)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            while line := file.readline(longest):
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise InputError(f"{what} {shown_path(path)} cannot be read: {error.strerror}") from error


def read_text(path: Path, what: str, largest: int) -> str:
    """The content of a regular file as text. Raises ``InputError`` as ``read_bytes`` does, and if it is not UTF-8."""
    try:
        return read_bytes(path, what, largest).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {shown_path(path)} is not UTF-8 text: {error}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
