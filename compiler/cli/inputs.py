"""Sample inputs as files: arrays, or texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilewright.compiler.cli.arrays import read_arrays
from tilewright.targets.errors import InputError


def read_samples(path: Path | None, what: str) -> Any:
    """Arrays of an .npz file by name, or the lines of a .txt file; None for no file.

    what: what the file is for, in sentences. Raises ``InputError`` if it cannot be read.
    """
    if path is None:
        return None
    if not path.is_file():
        raise InputError(f"there is no {what} file {str(path)!r}")
    if path.suffix == ".npz":
        return read_arrays(path)
    if path.suffix != ".txt":
        raise InputError(f"{what} file {str(path)!r} must end in .npz (input arrays) or .txt (a text a line)")
    try:
        texts = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{what} file {str(path)!r} is not UTF-8 text: {error}") from error
    if not texts:
        raise InputError(f"{what} file {str(path)!r} holds no text")
    return texts
