"""Values in an ONNX graph, of two kinds: tensors, and numbers that are known while tracing.

Exporters compute shapes inside the graph: Shape, Gather, Concat, Reshape. Such values are kept as numpy arrays on the
host; a size that may vary stands in them as torch's symbolic integer (the array then has dtype object). They turn into
tensors only where an operator computes with them as data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilewright.targets.errors import InputError

Numbers = NDArray[Any]
Value = Tensor | Numbers

LARGEST_KEPT = 4096
"""Largest number of elements up to which a constant is also kept on the host."""

LONGEST_FORMULA = 1000
"""Largest number of terms of the formula of a size that may vary."""

TYPES = {
    1: torch.float32,  # FLOAT
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float32,  # FLOAT16: plans compute in float32
    11: torch.float32,  # DOUBLE
    4: torch.int32,  # UINT16: torch has few operators for unsigned types
    12: torch.int64,  # UINT32
    13: torch.int64,  # UINT64
    16: torch.float32,  # BFLOAT16
}
"""Types that plans compute in, by ONNX's numbers of element types."""


def type_of(number: int, where: str) -> torch.dtype:
    """The torch type of an ONNX element type. Raises ``InputError`` for strings, complex numbers and such."""
    if number not in TYPES:
        raise InputError(f"{where} has ONNX element type {number}, which tilewright has no type for")
    return TYPES[number]


def is_symbolic(value: Any) -> bool:
    """True if a number is a size that may vary."""
    return isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)


def as_numbers(values: Any) -> Numbers:
    """A numpy array of the plain type, or of objects where a symbolic size is among them.

    Raises ``OverflowError`` for whole numbers of more than 64 bits and for sizes whose formula is as long.
    """
    array = np.array(values, dtype=object)
    flat: list[Any] = array.reshape(-1).tolist()
    if any(is_symbolic(item) for item in flat):
        for item in flat:
            _check_symbolic(item)
        return array
    if all(isinstance(item, bool | np.bool_) for item in flat) and flat:
        return array.astype(np.bool_)
    if any(isinstance(item, float) for item in flat):
        return array.astype(np.float32)
    return array.astype(np.int64)


def _check_symbolic(item: Any) -> None:
    """Raise ``OverflowError`` for a size whose formula is too long: chains of operators make it grow without end."""
    if isinstance(item, torch.SymInt) and abs(item.node.hint or 0) >= 2**63:
        raise OverflowError("a size has more than 64 bits")
    if is_symbolic(item) and _length(item.node.expr, {}) > LONGEST_FORMULA:
        raise OverflowError(f"the formula of a size has more than {LONGEST_FORMULA} terms")


def _length(expression: Any, known: dict[Any, int]) -> int:
    """Terms of a formula as it would be written, each shared part counted wherever it stands."""
    if expression not in known:
        known[expression] = 1 + sum(_length(part, known) for part in expression.args)
    return known[expression]


def as_tensor(value: Value) -> Tensor:
    """The value as a tensor of the graph."""
    if isinstance(value, Tensor):
        return value
    if value.dtype != object:
        wanted = torch.float32 if value.dtype.kind == "f" else None
        return torch.tensor(value, dtype=wanted)
    items = [_scalar(item) for item in value.reshape(-1).tolist()]
    return torch.stack(items).reshape(value.shape)


def _scalar(item: Any) -> Tensor:
    is_float = isinstance(item, float | torch.SymFloat)
    return torch.scalar_tensor(item, dtype=torch.float32 if is_float else torch.int64)


def plain_list(numbers: Numbers) -> list[Any]:
    """The elements in order, as Python numbers or symbolic ones."""
    return list(numbers.reshape(-1).tolist())
