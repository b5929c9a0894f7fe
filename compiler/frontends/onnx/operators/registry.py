"""Registry of ONNX operators. A function's docstring is its line in docs/operators.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.values import Numbers, Value

Result = Value | tuple[Value | None, ...]
Compute = Callable[[Call], Result]
ComputeNumbers = Callable[[Call, list[Numbers]], Numbers | tuple[Numbers, ...]]


@dataclass(frozen=True)
class Operator:
    """Implementation of one ONNX operator with torch, and a description for docs/operators.md."""

    name: str
    compute: Compute
    description: str


OPERATORS: dict[str, Operator] = {}
"""Operators on tensors, by ONNX's names."""
ON_NUMBERS: dict[str, ComputeNumbers] = {}
"""Operators on numbers that are known while tracing, by ONNX's names."""


def operator(*names: str, description: str | None = None) -> Callable[[Compute], Compute]:
    """Register a function for operators of these names.

    description: how much of them is supported; the function's docstring if None.
    """

    def register(compute: Compute) -> Compute:
        said = " ".join((compute.__doc__ or "").split()) if description is None else description
        OPERATORS.update({name: Operator(name, compute, said) for name in names})
        return compute

    return register


def on_numbers(*names: str) -> Callable[[ComputeNumbers], ComputeNumbers]:
    """Register a function for numbers that are known while tracing."""

    def register(compute: ComputeNumbers) -> ComputeNumbers:
        ON_NUMBERS.update(dict.fromkeys(names, compute))
        return compute

    return register
