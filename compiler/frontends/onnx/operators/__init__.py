"""ONNX operators as torch functions, one file a kind."""

from tilewright.compiler.frontends.onnx.operators import (  # noqa: F401 (they fill the registry)
    elementwise,
    normalisation,
    numbers,
    pooling,
    products,
    recurrent,
    reductions,
    resizing,
    selection,
    shapes,
)
from tilewright.compiler.frontends.onnx.operators.registry import ON_NUMBERS, OPERATORS

__all__ = ["ON_NUMBERS", "OPERATORS"]
