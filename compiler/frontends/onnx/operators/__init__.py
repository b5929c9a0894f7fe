"""ONNX operators as torch functions, one file a kind."""

from tilewright.compiler.frontends.onnx.operators import (
    elementwise,
    normalisation,
    numbers,
    pooling,
    products,
    reductions,
    resizing,
    selection,
    shapes,
)
from tilewright.compiler.frontends.onnx.operators.registry import ON_NUMBERS, OPERATORS, Operator

__all__ = [
    "ON_NUMBERS",
    "OPERATORS",
    "Operator",
    "elementwise",
    "normalisation",
    "numbers",
    "pooling",
    "products",
    "reductions",
    "resizing",
    "selection",
    "shapes",
]
