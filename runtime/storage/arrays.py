"""Arrays in .npz files: measured before they are read, read without pickle, written whole or not at all."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from tilewright.runtime.storage.atomic_file import whole_file
from tilewright.runtime.storage.memory_budget import check_memory
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FILE, check_file, shown_path

LARGEST_FILE = 2**40  # bytes
LARGEST_INDEX = 2**22
"""Bytes of a zip file's list of what is in it."""
_DAMAGED = (
    ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, MemoryError, zipfile.BadZipFile,
    zlib.error, struct.error,
)  # fmt: skip
"""Exceptions that numpy and zipfile raise for files that are not what they say."""


def read_arrays(path: Path, what: str = FILE, largest: int | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an .npz file. what: which file it is, for sentences. largest: number of bytes that they may take.

    Raises ``InputError`` if it is missing, damaged, holds objects, or would take more memory than there is.
    """
    check_file(path, what, LARGEST_FILE)
    try:
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise InputError(
                    f"{shown_path(path)} holds one array without a name; save inputs by name with numpy.savez"
                )
            with zipfile.ZipFile(_Bounded(file)) as archive:
                return _read(archive, path, largest)
    except InputError:
        raise
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{shown_path(path)} is not a readable .npz file of numbers: {reason}") from error


def _read(archive: zipfile.ZipFile, path: Path, largest: int | None) -> dict[str, np.ndarray[Any, Any]]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name == member.filename or name in members:
            raise ValueError(f"{member.filename[:80]!r} is not an array, or there twice")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"array {name[:80]!r} is neither stored nor deflated")
        members[name] = member
    if not members:
        raise InputError(f"{shown_path(path)} holds no arrays")
    total = 0
    for name, member in members.items():
        with archive.open(member) as file:
            total += _size(file, member, name)
    if largest is not None and total > largest:
        raise InputError(f"{shown_path(path)} holds {total:,} bytes of arrays, allowed are {largest:,}")
    check_memory(total, f"{shown_path(path)}, which holds {len(members)} array(s) of {total:,} bytes together,")
    arrays = {}
    for name, member in members.items():
        with archive.open(member) as file:
            arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def _size(file: IO[bytes], member: zipfile.ZipInfo, name: str) -> int:
    """Bytes of an array by its header. Raises ``ValueError`` if it holds objects, or its file is of another size."""
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"array {name[:80]!r} is of version {version}")
    try:
        shape, _, dtype = read_header[version](file)
    except Exception as error:  # whatever Python's own parser raises, to which numpy gives the text
        raise ValueError(f"the header of array {name[:80]!r} cannot be read") from error
    if dtype.hasobject:
        raise ValueError(f"array {name[:80]!r} holds Python objects")
    if dtype.itemsize == 0 or any(size < 0 for size in shape):
        raise ValueError(f"array {name[:80]!r} of {dtype} has shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if size != member.file_size - file.tell():
        raise ValueError(f"array {name[:80]!r} is {size:,} bytes by its header and {member.file_size:,} with it")
    return size


class _Bounded:
    """A file that gives at most so many bytes at once: more is only asked for by a list of contents that is a bomb."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises ``ValueError`` if they are too many."""
        if size > LARGEST_INDEX:
            raise ValueError(f"{size:,} bytes at once, a list of contents has at most {LARGEST_INDEX:,}")
        return self._file.read(min(size, LARGEST_INDEX) if size >= 0 else LARGEST_INDEX)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write an .npz file, whole or not at all."""
    with whole_file(path) as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]
