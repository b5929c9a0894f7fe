"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tilewright.targets.errors import InputError


def check_destination(folder: Path, *, overwrite: bool, marker: str) -> None:
    """Raise ``InputError`` if ``folder`` cannot be written; an old one is replaced only if it holds ``marker``."""
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise InputError(f"cannot write {folder}: the folder {parent} does not exist")
    if not os.access(parent, os.W_OK):
        raise InputError(f"cannot write {folder}: no permission to write in {parent}")
    if not folder.exists():
        return
    if not overwrite:
        raise InputError(f"{folder} exists already; remove it, choose another name, or allow overwriting")
    if not (folder / marker).is_file():
        raise InputError(f"{folder} exists and holds no {marker}, so it is not overwritten")


@contextmanager
def atomic_folder(folder: Path, *, overwrite: bool, marker: str) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that takes its place when the block ends without an error."""
    folder = folder.absolute()
    check_destination(folder, overwrite=overwrite, marker=marker)
    workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    new = workspace / "new"
    try:
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(workspace / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
