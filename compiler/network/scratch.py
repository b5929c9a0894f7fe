"""Storage of tensors that the compiler makes of a model's own: memory while they are few, disk when they are many."""

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
"""Times that later files double in size, at most: a process may have only so many open."""


@dataclass
class Scratch:
    """Storage of made tensors: counts them, and puts those that are too much into nameless temporary files."""

    files: list[ScratchFile] = field(default_factory=list)
    in_memory: int = 0

    def empty(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """A tensor to be filled, of the type of another, and on the meta device if that is."""
        size = math.prod(shape) * like.element_size()
        if like.is_meta or self._fits_memory(size):
            return like.new_empty(shape)
        return self._on_disk(shape, size, like.dtype)

    def keep(self, tensor: Tensor) -> Tensor:
        """The tensor, or a copy of it on disk where memory is short. Views stay: the tensors they look at are kept."""
        if tensor.is_meta or tensor._is_view() or self._fits_memory(tensor.nbytes):
            return tensor
        return self._on_disk(tensor.shape, tensor.nbytes, tensor.dtype).copy_(tensor)

    def _fits_memory(self, size: int) -> bool:
        """Count so many bytes if they may stay in memory. Returns whether they may; small tensors always do."""
        if size < SMALL:
            return True
        fits = self.in_memory + size <= IN_MEMORY
        self.in_memory += size if fits else 0
        return fits

    def _on_disk(self, shape: Sequence[int], size: int, dtype: torch.dtype) -> Tensor:
        if not self.files or self.files[-1].free < size:
            self.files.append(ScratchFile(max(FILE << min(len(self.files), DOUBLINGS), size)))
        return self.files[-1].empty(shape, dtype)
