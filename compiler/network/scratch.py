"""Tensors that the compiler makes of a model's own: in memory while they are few, on disk when they are many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tilewright.runtime.storage.memory_map import ScratchFile

IN_MEMORY = 2**28
"""Bytes of made tensors that stay in memory."""
SMALL = 2**16
"""Bytes of a tensor that is not worth a page of a file."""
FILE = 2**28
"""Bytes of the first scratch file, or those of a tensor that is larger."""
DOUBLINGS = 4
"""Later files are larger, up to so many times: a process may have only so many open."""


@dataclass
class Scratch:
    """Counts what is kept, and puts what is too much into files without names, in the system's temporary folder."""

    files: list[ScratchFile] = field(default_factory=list)
    in_memory: int = 0

    def empty(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """A tensor to be filled, of the type of another; on the meta device if that is."""
        size = math.prod(shape) * like.element_size()
        if like.is_meta or self._fits_memory(size):
            return like.new_empty(shape)
        return self._on_disk(shape, size, like.dtype)

    def keep(self, tensor: Tensor) -> Tensor:
        """The same numbers, where tensors are kept. Views are kept as they are: what they look at is."""
        if tensor.is_meta or tensor._is_view() or self._fits_memory(tensor.nbytes):
            return tensor
        return self._on_disk(tensor.shape, tensor.nbytes, tensor.dtype).copy_(tensor)

    def _fits_memory(self, size: int) -> bool:
        """Whether so many bytes more may stay in memory, which are counted then; small tensors always may."""
        if size < SMALL:
            return True
        fits = self.in_memory + size <= IN_MEMORY
        self.in_memory += size if fits else 0
        return fits

    def _on_disk(self, shape: Sequence[int], size: int, dtype: torch.dtype) -> Tensor:
        if not self.files or self.files[-1].free < size:
            self.files.append(ScratchFile(max(FILE << min(len(self.files), DOUBLINGS), size)))
        return self.files[-1].empty(shape, dtype)
