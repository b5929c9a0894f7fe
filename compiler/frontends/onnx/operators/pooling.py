"""Pooling operators of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.operators.products import are_alike, around, sides, window
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value

MAX_POOLS: dict[int, Callable[..., Tensor]] = {n: getattr(functional, f"max_pool{n}d") for n in (1, 2, 3)}
AVERAGE_POOLS: dict[int, Callable[..., Tensor]] = {n: getattr(functional, f"avg_pool{n}d") for n in (1, 2, 3)}


def _kernel(call: Call) -> list[int]:
    kernel = list(call.attribute("kernel_shape", []))
    if len(kernel) not in MAX_POOLS or min(kernel) < 1:
        raise call.refuse(f"kernel_shape is {kernel}; it must hold 1 to 3 numbers above 0")
    return kernel


@operator("MaxPool")
def max_pool(call: Call) -> Value:
    """Max pooling over one to three dimensions; the indices are not given as a result."""
    if len(call.node.outputs) > 1:
        raise call.refuse("the indices of maxima are not given as a result")
    x, kernel = call.tensor(0), _kernel(call)
    dimensions = len(kernel)
    strides, dilations = window(call, "strides", dimensions), window(call, "dilations", dimensions)
    begin, end = sides(call, x, kernel, strides, dilations)
    pool, ceil = MAX_POOLS[dimensions], bool(call.attribute("ceil_mode", 0))
    if _fits(begin, end, kernel):
        return pool(x, kernel, strides, begin, dilations, ceil)
    filled = functional.pad(x, around(begin, end), value=float("-inf"))
    pooled = pool(filled, kernel, strides, 0, dilations, ceil)
    return _beginning_inside(pooled, x, begin, strides) if ceil else pooled


@operator("AveragePool")
def average_pool(call: Call) -> Value:
    """Average pooling over one to three dimensions, without dilation."""
    x, kernel = call.tensor(0), _kernel(call)
    dimensions = len(kernel)
    strides, dilations = window(call, "strides", dimensions), window(call, "dilations", dimensions)
    if max(dilations) > 1:
        raise call.refuse(f"dilations are {dilations}; average pooling is supported without")
    ceil, counts_padding = bool(call.attribute("ceil_mode", 0)), bool(call.attribute("count_include_pad", 0))
    begin, end = sides(call, x, kernel, strides, dilations)
    pool = AVERAGE_POOLS[dimensions]
    if _fits(begin, end, kernel):
        return pool(x, kernel, strides, begin, ceil, counts_padding)
    both = around(begin, end)
    average = pool(functional.pad(x, both), kernel, strides, 0, ceil, True)
    if not counts_padding:
        average = average / pool(functional.pad(torch.ones_like(x), both), kernel, strides, 0, ceil, True)
    return _beginning_inside(average, x, begin, strides) if ceil else average


def _fits(begin: list[Any], end: list[Any], kernel: list[int]) -> bool:
    """True if torch's pooling itself can do this padding: alike on both sides, by at most half of the window."""
    return are_alike(begin, end) and all(2 * side <= size for side, size in zip(begin, kernel, strict=True))


def _beginning_inside(pooled: Tensor, x: Tensor, begin: list[Any], strides: list[int]) -> Tensor:
    """Pooled values without windows that begin in the padding behind x, as some do if their number is rounded up."""
    for axis, (before, stride) in enumerate(zip(begin, strides, strict=True), start=2):
        windows = -(-(x.shape[axis] + before) // stride)
        pooled = pooled.narrow(axis, 0, torch.sym_min(windows, pooled.shape[axis]))
    return pooled


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call: Call) -> Value:
    """Mean or maximum over any number of dimensions."""
    x = call.tensor(0)
    pool: Callable[..., Tensor] = torch.mean if call.node.operator == "GlobalAveragePool" else torch.amax
    return pool(x, dim=list(range(2, x.dim())), keepdim=True)
