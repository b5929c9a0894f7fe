"""ONNX operators that sum products: layers for tiles where one factor is constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.exported import fixed_size
from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value, is_symbolic

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {n: getattr(functional, f"conv{n}d") for n in (1, 2, 3)}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {n: getattr(functional, f"conv_transpose{n}d") for n in (1, 2, 3)}


@operator("MatMul")
def matmul(call: Call) -> Value:
    """Matrix product. A constant operand on either side goes on tiles."""
    return torch.matmul(call.tensor(0), call.tensor(1))


@operator("Gemm")
def gemm(call: Call) -> Value:
    """Matrix product with an addition. A constant operand goes on tiles, with alpha in its weights."""
    left, right, offset = call.tensor(0), call.tensor(1), call.optional_tensor(2)
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    left = left.transpose(0, 1) if call.attribute("transA", 0) else left
    right = right.transpose(0, 1) if call.attribute("transB", 0) else right
    product = torch.matmul(left, right if alpha == 1.0 else right * alpha)
    if offset is None or beta == 0.0:
        return product
    return product + (offset if beta == 1.0 else offset * beta)


@operator("Einsum")
def einsum(call: Call) -> Value:
    """Einstein sum by any equation that torch takes."""
    return torch.einsum(call.attribute("equation"), *call.tensors())


def _spatial_dimensions(call: Call, weight: Tensor) -> int:
    dimensions = weight.dim() - 2
    if dimensions not in CONVOLUTIONS:
        raise call.refuse(f"a convolution over {dimensions} dimensions; 1 to 3 are supported")
    return dimensions


@operator("Conv")
def conv(call: Call) -> Value:
    """Convolution over one to three dimensions, any padding. On tiles with one group and up to two dimensions."""
    x, weight, bias = call.tensor(0), call.tensor(1), call.optional_tensor(2)
    dimensions = _spatial_dimensions(call, weight)
    strides, dilations = window(call, "strides", dimensions), window(call, "dilations", dimensions)
    x, padding = padded(call, x, list(weight.shape[2:]), strides, dilations)
    return CONVOLUTIONS[dimensions](x, weight, bias, strides, padding, dilations, call.attribute("group", 1))


@operator("ConvTranspose")
def conv_transpose(call: Call) -> Value:
    """Transposed convolution over one to three dimensions; output_shape and auto_pad are not supported."""
    x, weight, bias = call.tensor(0), call.tensor(1), call.optional_tensor(2)
    dimensions = _spatial_dimensions(call, weight)
    if call.attribute("output_shape") or call.attribute("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise call.refuse("output_shape and auto_pad are not supported; give pads and output_padding")
    pads = list(call.attribute("pads", [0] * 2 * dimensions))
    begin, end = pads[:dimensions], pads[dimensions:]
    extra = list(call.attribute("output_padding", [0] * dimensions))
    smallest = [min(first, last) for first, last in zip(begin, end, strict=True)]
    strides, dilations = window(call, "strides", dimensions), window(call, "dilations", dimensions)
    groups = call.attribute("group", 1)
    if begin == end:
        return TRANSPOSED[dimensions](x, weight, bias, strides, begin, extra, groups, dilations)
    full = TRANSPOSED[dimensions](x, weight, bias, strides, smallest, extra, groups, dilations)
    for axis in range(dimensions):
        low, high = begin[axis] - smallest[axis], end[axis] - smallest[axis]
        full = full.narrow(axis + 2, low, full.shape[axis + 2] - low - high)
    return full


def window(call: Call, name: str, dimensions: int) -> list[int]:
    """An attribute with a number for each spatial dimension, one by default."""
    given = list(call.attribute(name) or [1] * dimensions)
    if len(given) != dimensions or min(given) < 1:
        raise call.refuse(f"{name} is {given}; it must hold {dimensions} numbers above 0")
    return given


def padded(
    call: Call, x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]
) -> tuple[Tensor, list[int]]:
    """The input, padded where its two sides differ or vary, and the padding that is left to the operator."""
    begin, end = sides(call, x, kernel, strides, dilations)
    if are_alike(begin, end):
        return x, begin
    return functional.pad(x, around(begin, end)), [0] * len(kernel)


def around(begin: list[Any], end: list[Any]) -> list[Any]:
    """Padding in the order of ``torch.nn.functional.pad``: the last dimension first."""
    return [side for pair in reversed(list(zip(begin, end, strict=True))) for side in pair]


def are_alike(begin: list[Any], end: list[Any]) -> bool:
    """True if as much is padded before as after, at all sizes of the input."""
    return not any(map(is_symbolic, [*begin, *end])) and begin == end


def sides(
    call: Call, x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]
) -> tuple[list[Any], list[Any]]:
    """Padding before and after each spatial dimension: sums of its size, where that may vary."""
    dimensions = len(kernel)
    automatic = call.attribute("auto_pad", "NOTSET")
    if automatic == "VALID":
        return [0] * dimensions, [0] * dimensions
    if automatic == "NOTSET":
        pads = list(call.attribute("pads") or [0] * 2 * dimensions)
        if len(pads) != 2 * dimensions or min(pads, default=0) < 0:
            raise call.refuse(f"pads is {pads}; it must hold {2 * dimensions} numbers from 0")
        return pads[:dimensions], pads[dimensions:]
    begin, end = [], []
    for axis, (size, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        length = x.shape[axis + 2]
        wanted = (-(-length // stride) - 1) * stride + dilation * (size - 1) + 1 - length
        total = torch.sym_max(wanted, 0)
        total = fixed if (fixed := fixed_size(total)) is not None else total
        small = total // 2
        begin.append(small if automatic == "SAME_UPPER" else total - small)
        end.append(total - small if automatic == "SAME_UPPER" else small)
    return begin, end
