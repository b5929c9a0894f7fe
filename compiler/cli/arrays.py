"""Arrays in .npz files: read without pickle, written whole or not at all."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.runtime.atomic_file import write_whole
from tilewright.targets.errors import InputError


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an .npz file. Raises ``InputError`` if it is missing, damaged, or holds objects."""
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path} holds one array without a name; save inputs by name with numpy.savez")
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable .npz file of numbers: {error}") from error
    if not arrays:
        raise InputError(f"{path} holds no arrays")
    return arrays


def check_output_file(path: Path, *, overwrite: bool) -> None:
    """Raise ``InputError`` if ``path`` cannot be written, before the work is done."""
    parent = path.absolute().parent
    if not parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {parent} does not exist")
    if path.is_dir() or (path.exists() and not overwrite):
        raise InputError(f"{path} exists already; choose another name or use --force")
    if not os.access(parent, os.W_OK):
        raise InputError(f"cannot write {path}: no permission to write in {parent}")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write an .npz file, whole or not at all."""
    content = io.BytesIO()
    np.savez(content, **dict(arrays))  # type: ignore[arg-type]
    write_whole(path, content.getvalue())
