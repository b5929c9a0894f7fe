"""A file that appears whole or not at all."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tilewright.runtime.storage.workspace import check_beside, check_may_replace, workspace
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_flags
from tilewright.targets.paths import FILE, kind_of, real_path, shown_path


def check_output_file(path: Path, *, overwrite: bool) -> None:
    """Raise ``InputError`` if ``path`` cannot be written, before the work is done. Only regular files are replaced."""
    check_flags(overwrite=overwrite)
    check_beside(path)
    kind = kind_of(path)
    if kind is None:
        return
    if kind != FILE:
        raise InputError(f"cannot write {shown_path(path)}: it is a {kind}, not a regular file")
    check_may_replace(path, overwrite=overwrite)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place at ``path`` when the block ends without an error.

    The file that a symbolic link leads to is replaced, with its permissions. Raises ``InputError`` if something is
    there that is not a regular file.
    """
    check_output_file(path, overwrite=True)
    place = real_path(path)
    with _beside(path, place) as folder:
        new = folder / "new"
        with new.open("wb") as file:
            yield file
        with suppress(FileNotFoundError):
            new.chmod(stat.S_IMODE(place.stat().st_mode))
        new.replace(place)


@contextmanager
def _beside(path: Path, place: Path) -> Iterator[Path]:
    """Workspace for a file. Raises ``InputError`` where its folder takes none, such as one of /proc."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(workspace(place))
        except FileNotFoundError as error:
            raise InputError(f"cannot write {shown_path(path)}: its folder is not there or takes no files") from error
        yield folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as ``whole_file`` does."""
    with whole_file(path) as file:
        file.write(content)
