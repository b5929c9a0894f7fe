"""Modules whose tensors move between devices and keep their number formats: these are part of the chip."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import fields
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

Record = TypeVar("Record")


class FixedPrecision(nn.Module):
    """A module of buffers that ``.to(device)`` moves. A change of their formats is refused, since it changes results.

    Buffers are not persistent: weights are the plan's, all else is made again from names. So a state dictionary copies
    nothing.
    """

    def hold(self, name: str, tensor: Tensor | None) -> None:
        """Register a tensor as a buffer, without a copy."""
        self.register_buffer(name, tensor, persistent=False)

    def twin(self) -> Self:
        """Another module over the same tensors: what is held or set in one of them later is not in the other."""
        made = copy(self)
        for name, value in vars(made).items():
            if isinstance(value, dict | set):
                made.__dict__[name] = value.copy()
        return made

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Apply ``fn`` to all buffers. Raises ``TypeError``, before anything is moved, if a format would change."""
        for dtype in {buffer.dtype for buffer in self.buffers(recurse)}:
            if fn(torch.empty(0, dtype=dtype)).dtype != dtype:
                raise TypeError(
                    f"{type(self).__name__} keeps its number formats, since they decide about results: "
                    "move it with .to(device) alone"
                )
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


class Held(FixedPrecision, Generic[Record]):
    """A record of tensors, of a frozen dataclass, as buffers of the module that holds it."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._type, self._rest = type(record), dict[str, Any]()
        for field in fields(record):  # type: ignore[arg-type]
            value = getattr(record, field.name)
            if isinstance(value, Tensor):
                self.hold(field.name, value)
            else:
                self._rest[field.name] = value

    @property
    def record(self) -> Record:
        """The record, with its tensors where they are now."""
        return self._type(**self._rest, **self._buffers)  # no named_buffers: it takes as long as a small product
