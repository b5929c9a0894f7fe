"""Weights that stay in their files: mapped into memory, read when they are touched, and handed back after many.

The system counts a mapped page as the program's memory from its first touch. Models may be larger than memory, so pages
are handed back once more than ``RESIDENT`` bytes were used since the last time; touched again, they are read again.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakSet

import torch
from torch import Tensor

from tilewright.runtime.storage.c_library import hand_back_freed_memory
from tilewright.targets.errors import InputError

RESIDENT = 2**29
"""Bytes of mapped weights that may be used before their pages are handed back. Smaller models keep theirs."""

ALIGNED = 64
"""Bytes that addresses of torch's own tensors are multiples of."""
SMALL = 2**20
"""Bytes of a tensor that is copied out of its file where it does not lie as torch's own do."""

_maps: WeakSet[mmap.mmap] = WeakSet()
_used = 0


class MappedFile:
    """A file's bytes as tensors. They are private: nothing that is written to them reaches the file."""

    def __init__(self, path: Path) -> None:
        """Map a file. Raises ``OSError`` or ``ValueError`` if it cannot be mapped."""
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        _maps.add(self._map)

    def tensor(self, dtype: torch.dtype, shape: list[int], offset: int) -> Tensor:
        """The numbers that start at a byte; a copy where they do not lie as the processor wants them."""
        return tensor_in(self._map, dtype, shape, offset)


class ScratchFile:
    """A file without a name for tensors that were computed and are larger than memory should hold."""

    def __init__(self, size: int) -> None:
        """Make a file of ``size`` bytes. Raises ``InputError`` if the temporary folder has no room for it."""
        with tempfile.TemporaryFile(prefix="tilewright-") as file:
            _reserve(file.fileno(), size)
            self._map = mmap.mmap(file.fileno(), size)
        _maps.add(self._map)
        self.free, self._filled = size, 0

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor in the file, to be filled. Raises ``ValueError`` if there is no room for it."""
        tensor = tensor_in(self._map, dtype, list(shape), self._filled)
        self._filled += -(-tensor.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self.free = len(self._map) - self._filled
        return used(tensor)


def _reserve(file: int, size: int) -> None:
    """Reserve room on disk now: a write to a mapped page that finds none ends the program without a word."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        else:
            os.truncate(file, size)
    except OSError as error:
        raise InputError(
            f"the temporary folder {tempfile.gettempdir()} has no room for {size:,} bytes of weights "
            f"({error.strerror}); set TMPDIR to a folder that has"
        ) from error


def tensor_in(buffer: mmap.mmap, dtype: torch.dtype, shape: list[int], offset: int) -> Tensor:
    """Tensor of the numbers that start at a byte of a mapped file."""
    count = math.prod(shape)
    if not count:
        return torch.empty(shape, dtype=dtype)
    if offset % dtype.itemsize or (offset % ALIGNED and count * dtype.itemsize <= SMALL):
        data = bytearray(buffer[offset : offset + count * dtype.itemsize])
        return torch.frombuffer(data, dtype=dtype).view(shape).clone()
    return torch.frombuffer(buffer, dtype=dtype, count=count, offset=offset).view(shape)


def used(tensor: Tensor) -> Tensor:
    """Note that a tensor's numbers are used, mapped or not; hand mapped pages back if many were. Returns the tensor."""
    global _used
    _used += tensor.nbytes
    if _used > RESIDENT and sum(map(len, _maps)) > RESIDENT:
        hand_back()
    return tensor


def hand_back() -> None:
    """Hand the pages of all mapped weights back to the system, and freed memory."""
    global _used
    _used = 0
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in list(_maps):
            mapped.madvise(mmap.MADV_DONTNEED)
    hand_back_freed_memory()
