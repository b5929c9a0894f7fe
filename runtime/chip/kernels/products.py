"""Whole-number matrices in the order that the kernels read, and their products."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.chip.kernels.native import loaded, pointer

PANEL, COLUMN_STEP, ROW_STEP = 16, 32, 8
"""Columns that lie together, and what columns and rows are a multiple of: as interface.h has them."""
MOST_ROWS = 1024
"""Rows of a row-block that kernels take: sums of so many products fit 32 bits."""
PAIR, FOUR = 2, 4
"""Rows of one column that lie together: of weights, 16 bits each, and of magnitudes, 8 bits each."""


def fits(rows: int) -> bool:
    """True if matrices of so many rows are held for kernels in this process."""
    return rows <= MOST_ROWS and loaded() is not None


def padded(size: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-size // step) * step


def pack(matrix: Tensor, together: int) -> Tensor:
    """A matrix [columns, rows] as [panels, rows / together, PANEL, together], zeros beyond it, at 64 bytes."""
    columns, rows = matrix.shape
    whole = functional.pad(matrix, (0, padded(rows, ROW_STEP) - rows, 0, padded(columns, COLUMN_STEP) - columns))
    panels = whole.view(-1, PANEL, whole.shape[1] // together, together)
    return panels.transpose(1, 2).contiguous()


def empty_packed(columns: int, rows: int, together: int) -> Tensor:
    """Memory of a packed matrix, weights or magnitudes: zeros in the last panel, which may have no column."""
    panels, length = padded(columns, COLUMN_STEP) // PANEL, padded(rows, ROW_STEP)
    dtype = torch.int16 if together == PAIR else torch.int8
    made = torch.empty(panels, length // together, PANEL, together, dtype=dtype)
    made[-1:].zero_()
    return made


def packed_grid(values: Tensor, steps_per_unit: float, together: int) -> Tensor:
    """Values [columns, rows], float32, packed by the library as whole steps: weights, PAIR together, or magnitudes."""
    native, (columns, rows) = loaded(), values.shape
    assert native is not None
    made = empty_packed(columns, rows, together)
    weights, magnitudes = (made, None) if together == PAIR else (None, made)
    values = values.contiguous()
    native.library.tw_pack(
        native.set, pointer(values), columns, rows, padded(rows, ROW_STEP), ctypes.c_float(steps_per_unit),
        pointer(weights), pointer(magnitudes),
    )  # fmt: skip
    return made


def unpack(packed: Tensor, columns: int, rows: int) -> Tensor:
    """The matrix [columns, rows] of ``pack``."""
    whole = packed.transpose(1, 2).reshape(-1, packed.shape[1] * packed.shape[3])
    return whole[:columns, :rows]


def multiply(levels: Tensor, packed: Tensor, columns: int, unit: float) -> Tensor:
    """Product of levels [M, rows], int8, and a packed matrix, exact, then times ``unit`` in float32: [M, columns]."""
    native = loaded()
    assert native is not None
    numbers = levels.to(torch.int16).contiguous()
    made = torch.empty(len(levels), columns)
    failed = native.library.tw_multiply(
        native.set, pointer(numbers), len(levels), levels.shape[1], packed.shape[1] * packed.shape[3], pointer(packed),
        columns, ctypes.c_float(unit), pointer(made),
    )  # fmt: skip
    if failed:
        raise MemoryError("no memory for a product")
    return made


def multiply_sizes(sizes: Tensor, packed: Tensor, columns: int) -> Tensor:
    """Product of sizes [M, rows], int8 of at least zero, and packed magnitudes, exact: int32 [M, columns]."""
    native = loaded()
    assert native is not None
    sizes = sizes.contiguous()
    made = torch.empty(len(sizes), columns, dtype=torch.int32)
    failed = native.library.tw_multiply_sizes(
        native.set, pointer(sizes), len(sizes), sizes.shape[1], packed.shape[1] * packed.shape[3], pointer(packed),
        columns, pointer(made),
    )  # fmt: skip
    if failed:
        raise MemoryError("no memory for a product")
    return made
