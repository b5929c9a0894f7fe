"""Pooling."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.operators.products import padded, sides, window
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value

MAX_POOLS: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}
AVERAGE_POOLS: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


def _kernel(call: Call) -> list[int]:
    kernel = list(call.attribute("kernel_shape", []))
    if len(kernel) not in MAX_POOLS or min(kernel) < 1:
        raise call.refuse(f"kernel_shape is {kernel}; it must hold 1 to 3 numbers above 0")
    return kernel


@operator("MaxPool")
def max_pool(call: Call) -> Value:
    """One to three dimensions; the indices are not given as a result."""
    if len(call.node.outputs) > 1:
        raise call.refuse("the indices of maxima are not given as a result")
    x, kernel = call.tensor(0), _kernel(call)
    dimensions = len(kernel)
    strides, dilations = window(call, "strides", dimensions), window(call, "dilations", dimensions)
    x, padding = padded(call, x, kernel, strides, dilations, fill=float("-inf"))
    if any(2 * side > size for side, size in zip(padding, kernel, strict=True)):
        both = [side for size in reversed(padding) for side in (size, size)]
        x, padding = functional.pad(x, both, value=float("-inf")), [0] * dimensions
    ceil = bool(call.attribute("ceil_mode", 0))
    return MAX_POOLS[dimensions](x, kernel, strides, padding, dilations, ceil)


@operator("AveragePool")
def average_pool(call: Call) -> Value:
    """One to three dimensions without dilation."""
    x, kernel = call.tensor(0), _kernel(call)
    dimensions = len(kernel)
    strides, dilations = window(call, "strides", dimensions), window(call, "dilations", dimensions)
    if max(dilations) > 1:
        raise call.refuse(f"dilations are {dilations}; average pooling is supported without")
    ceil, counts_padding = bool(call.attribute("ceil_mode", 0)), bool(call.attribute("count_include_pad", 0))
    begin, end = sides(call, x, kernel, strides, dilations)
    pool = AVERAGE_POOLS[dimensions]
    if begin == end and all(2 * side <= size for side, size in zip(begin, kernel, strict=True)):
        return pool(x, kernel, strides, begin, ceil, counts_padding)
    both = [side for axis in reversed(range(dimensions)) for side in (begin[axis], end[axis])]
    total = pool(functional.pad(x, both), kernel, strides, 0, ceil, True)
    if counts_padding:
        return total
    counted = pool(functional.pad(torch.ones_like(x), both), kernel, strides, 0, ceil, True)
    return total / counted


@operator("GlobalAveragePool")
def global_average_pool(call: Call) -> Value:
    """Any number of dimensions."""
    x = call.tensor(0)
    return x.mean(dim=list(range(2, x.dim())), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(call: Call) -> Value:
    """Any number of dimensions."""
    x = call.tensor(0)
    return x.amax(dim=list(range(2, x.dim())), keepdim=True)
