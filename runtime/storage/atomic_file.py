"""A file that appears whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tilewright.runtime.storage.workspace import workspace
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FILE, FOLDER, kind_of, real_path, shown_path


def check_output_file(path: Path, *, overwrite: bool) -> None:
    """Raise ``InputError`` if ``path`` cannot be written, before the work is done. Only regular files are replaced."""
    kind = kind_of(path)
    parent = real_path(path).parent
    if kind_of(parent) != FOLDER:
        raise InputError(f"cannot write {shown_path(path)}: the folder {shown_path(parent)} does not exist")
    if kind not in (None, FILE):
        raise InputError(f"cannot write {shown_path(path)}: it is a {kind}, not a regular file")
    if kind is not None and not overwrite:
        raise InputError(
            f"{shown_path(path)} exists already; choose another name, or overwrite it (--force, in Python "
            "overwrite=True)"
        )
    if not os.access(parent, os.W_OK):
        raise InputError(f"cannot write {shown_path(path)}: no permission to write in {shown_path(parent)}")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place at ``path`` when the block ends without an error.

    The file that a symbolic link leads to is replaced, with its permissions. Raises ``InputError`` if something is
    there that is not a regular file.
    """
    check_output_file(path, overwrite=True)
    place = real_path(path)
    with workspace(place) as folder:
        new = folder / "new"
        with new.open("wb") as file:
            yield file
        with suppress(FileNotFoundError):
            new.chmod(stat.S_IMODE(place.stat().st_mode))
        new.replace(place)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as ``whole_file`` does."""
    with whole_file(path) as file:
        file.write(content)
