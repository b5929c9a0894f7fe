"""Sample inputs as files: arrays, or texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilewright.runtime.storage.arrays import read_arrays
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FILE, kind_of, read_text, shown_path

LARGEST_TEXT = 2**26
"""Bytes of a file of texts."""


def read_samples(path: Path | None, what: str) -> Any:
    """Arrays of an .npz file by name, or the lines of a .txt file; None for no file.

    what: what the file is for, in sentences. Raises ``InputError`` if it cannot be read.
    """
    if path is None:
        return None
    if kind_of(path) == FILE and path.suffix not in (".npz", ".txt"):
        raise InputError(f"{what} file {shown_path(path)} must end in .npz (input arrays) or .txt (a text a line)")
    if path.suffix == ".npz":
        return read_arrays(path, f"{what} file")
    texts = [line.strip() for line in read_text(path, f"{what} file", LARGEST_TEXT).splitlines() if line.strip()]
    if not texts:
        raise InputError(f"{what} file {shown_path(path)} holds no text")
    return texts
