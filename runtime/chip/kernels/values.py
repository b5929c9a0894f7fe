"""Finite numbers and whole steps: what kernels ask of every number of an activation.

torch needs several passes for either, and wakes its threads for each; here it is one pass, on the caller's thread while
the numbers are few. They may lie anyhow in memory, as those of a head of attention do.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod

import torch
from torch import Tensor

from tilewright.runtime.chip.kernels.native import is_readable, loaded, pointer
from tilewright.runtime.chip.parallel import in_parallel, workers

WORTH_A_THREAD = 2**17
"""Numbers for which another thread is worth its while."""


class _Lines(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("first", "last", "width", "stride")]


@dataclass(frozen=True)
class Layout:
    """Place of a tensor's numbers in memory: lines of so many numbers, each ``stride`` after the one before."""

    order: tuple[int, ...]
    """Dimensions in the order of memory, the one that changes slowest first."""
    lines: int
    width: int
    stride: int

    def parts(self) -> list[_Lines]:
        """Lines that threads take side by side."""
        count = min(workers(), max(1, self.lines * self.width // WORTH_A_THREAD), self.lines)
        size = -(-self.lines // count)
        return [
            _Lines(first, min(first + size, self.lines), self.width, self.stride)
            for first in range(0, self.lines, size)
        ]


@lru_cache(maxsize=1024)  # the layers of a run ask for the same ones
def layout_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> Layout | None:
    """Layout of a tensor; None if its numbers are not lines at equal distances."""
    order = sorted(range(len(shape)), key=lambda place: (-strides[place], place))
    merged: list[tuple[int, int]] = []
    """Size and stride of dimensions, those that follow each other without a gap taken together."""
    for place in order:
        size, stride = shape[place], strides[place]
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    merged = merged or [(1, 1)]
    if merged[-1][1] != 1 or len(merged) > 2 or 0 in shape:
        return None
    width = merged[-1][0]
    lines, stride = merged[0] if len(merged) == 2 else (1, width)
    if stride < width:  # lines overlap: a broadcast tensor
        return None
    if lines == 1 and len(shape) > 1 and shape[order[0]] > 1:  # no gap anywhere: lines of the slowest dimension
        lines = shape[order[0]]
        width = stride = width // lines
    return Layout(tuple(order), lines, width, stride)


def all_finite(values: Tensor) -> bool | None:
    """True if no value is NaN or infinite; None where the library cannot read them."""
    native, layout = loaded(), _layout(values)
    if native is None or layout is None:
        return None

    def ask(part: _Lines) -> bool:
        return bool(native.library.tw_all_finite(native.set, ctypes.byref(part), pointer(values)))

    return all(list(in_parallel(ask, layout.parts(), caller_helps=True)))


def whole_steps(values: Tensor, factor: float | Tensor, least: int, most: int) -> Tensor | None:
    """``(values * factor).round().clamp(least, most)``; None where the library cannot make it.

    factor: a number, or a tensor with one entry for each index of one dimension of the values, such as heads
    [heads, 1, 1]. The result lies in memory in the order of the values, without gaps.
    """
    native, layout = loaded(), _layout(values)
    if native is None or layout is None:
        return None
    together, factors = values.numel(), (ctypes.c_float * 1)(0.0)
    if isinstance(factor, Tensor):
        dimension = _varying(factor, values)
        if dimension is None or not is_readable(factor):
            return None
        behind = layout.order[layout.order.index(dimension) + 1 :]
        together = prod(values.shape[place] for place in behind)
        if together % layout.width and layout.width % together:
            return None
        numbers = factor.reshape(-1).tolist()
        factors = (ctypes.c_float * len(numbers))(*numbers)
    else:
        factors[0] = factor
    made = torch.empty([values.shape[place] for place in layout.order])
    make = partial(_whole_steps, values, factors, together, (float(least), float(most)), made)
    for _ in in_parallel(make, layout.parts(), caller_helps=True):
        pass
    return made.permute([layout.order.index(place) for place in range(values.dim())])


def _whole_steps(
    values: Tensor, factors: ctypes.Array[ctypes.c_float], together: int, limits: tuple[float, float], made: Tensor,
    part: _Lines,
) -> None:  # fmt: skip
    native = loaded()
    assert native is not None
    native.library.tw_whole_steps(
        native.set, ctypes.byref(part), pointer(values), factors, ctypes.c_size_t(len(factors)),
        ctypes.c_size_t(together), *map(ctypes.c_float, limits), pointer(made),
    )  # fmt: skip


def _layout(values: Tensor) -> Layout | None:
    if not is_readable(values) or (values.requires_grad and torch.is_grad_enabled()):
        return None
    return layout_of(tuple(values.shape), values.stride())


def _varying(factor: Tensor, values: Tensor) -> int | None:
    """Dimension of the values along which factors vary; None if there is no such, or more than one."""
    if factor.numel() == 1 or factor.dim() > values.dim():
        return None
    found = [place for place, size in enumerate(factor.shape, values.dim() - factor.dim()) if size > 1]
    if len(found) != 1 or values.shape[found[0]] != factor.numel():
        return None
    return found[0]
