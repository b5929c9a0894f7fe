"""Which ONNX operators there are. A function's docstring is its line in docs/operators.md."""

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
    """How one ONNX operator is computed with torch."""

    name: str
    compute: Compute
    description: str


OPERATORS: dict[str, Operator] = {}
"""On tensors."""
ON_NUMBERS: dict[str, ComputeNumbers] = {}
"""On numbers that are known while tracing."""


def operator(*names: str) -> Callable[[Compute], Compute]:
    """Register a function for operators of these names; its docstring says what is not supported, if anything."""

    def register(compute: Compute) -> Compute:
        for name in names:
            OPERATORS[name] = Operator(name, compute, " ".join((compute.__doc__ or "").split()))
        return compute

    return register


def on_numbers(*names: str) -> Callable[[ComputeNumbers], ComputeNumbers]:
    """Register a function for numbers that are known while tracing."""

    def register(compute: ComputeNumbers) -> ComputeNumbers:
        for name in names:
            ON_NUMBERS[name] = compute
        return compute

    return register
