"""Unfolding of convolutions to matrix products with patches of the input: the matrix may stay in a crossbar.

Each output position reads one patch of channels x kernel values; the kernel as a matrix [outputs, channels x kernel] is
the same for all positions, so it is programmed once and used once a position.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from tilewright.compiler.network.convolutions import CONVOLUTIONS, TRANSPOSED, why_digital
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import Rewriter, arguments_of
from tilewright.runtime.plan.decisions import Figure

aten = torch.ops.aten


@torch.no_grad()
def unfold_convolutions(network: Network) -> None:
    """Write every convolution that can be as patches times a matrix; the others stay digital, with the reason."""
    patches: dict[Any, fx.Node] = {}
    for node in network.calls_of(*CONVOLUTIONS, *TRANSPOSED):
        arguments = arguments_of(node)
        weight = network.tensor(arguments["weight"])
        if weight is None:
            continue
        path = str(arguments["weight"].target)
        reason = why_digital(network, node)
        if reason is None:
            kernel = "x".join(map(str, weight.shape[2:]))
            choice = f"{kernel} kernel as a matrix of {weight[0].numel()} x {weight.shape[0]}"
            why = "every position multiplies its patch with one constant matrix, which may stay in a crossbar"
            _unfold(network, node, weight, patches)
        else:
            choice, why = "digital", reason
            network.stays_digital(arguments["weight"], "operand", reason)
            network.stays_digital(arguments["bias"], "operand", "bias of a convolution that stays digital")
        subject = network.source_names.get(path, path).removesuffix(".weight")
        figure = Figure(name="weights", value=weight.numel(), unit="weight")
        network.decide("unfold_convolutions", subject, choice, why, figure)
    network.tidy()


@dataclass(frozen=True)
class Window:
    """Window of its input that a convolution reads, along height and width."""

    kernel: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def reads_single_values(self) -> bool:
        """True if a patch is one position, so that nothing is copied."""
        return all(size == 1 for size in self.kernel) and not any(self.padding)

    def positions(self, rewriter: Rewriter, x: fx.Node, axis: int) -> int | fx.Node:
        """Output positions along height (0) or width (1)."""
        covered = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        free = rewriter.arithmetic(operator.add, rewriter.size(x, axis + 2), 2 * self.padding[axis] - covered)
        return rewriter.arithmetic(operator.add, rewriter.arithmetic(operator.floordiv, free, self.stride[axis]), 1)


def _unfold(network: Network, node: fx.Node, weight: Tensor, patches: dict[Any, fx.Node]) -> None:
    arguments = arguments_of(node)
    rewriter = Rewriter(network, node)
    x: fx.Node = arguments["input"]
    is_line = weight.dim() == 3  # one-dimensional: an image of height one
    x, window = _symmetric(rewriter, arguments, weight)
    if is_line:
        x = rewriter.call(aten.unsqueeze.default, x, 2)
    sizes = [window.positions(rewriter, x, axis) for axis in (0, 1)]
    samples, positions, outputs = rewriter.size(x, 0), rewriter.arithmetic(operator.mul, *sizes), weight.shape[0]
    key = (arguments["input"], window)
    if key not in patches:
        patches[key] = _patches(rewriter, x, window, positions)
    path = str(arguments["weight"].target)
    matrix = rewriter.constant(path, weight.reshape(outputs, -1))
    operands = patches[key], matrix, arguments["bias"]
    product = rewriter.call(aten.linear.default, *operands, sizes=(samples, positions, outputs))
    columns = rewriter.call(aten.transpose.int, product, 1, 2, sizes=(samples, outputs, positions))
    if not is_line:
        columns = rewriter.call(aten.unflatten.int, columns, 2, sizes, sizes=(samples, outputs, *sizes))
    rewriter.replace_with(columns)


def _symmetric(rewriter: Rewriter, arguments: dict[str, Any], weight: Tensor) -> tuple[fx.Node, Window]:
    """The input, padded beforehand where its two sides differ or the padding follows from sizes, and the window."""
    x: fx.Node = arguments["input"]
    kernel = tuple(weight.shape[2:])
    stride, dilation = (_each(arguments[key], len(kernel)) for key in ("stride", "dilation"))
    padding = arguments["padding"]
    if padding == "same":
        total = [step * (size - 1) for step, size in zip(dilation, kernel, strict=True)]
        if any(size % 2 for size in total):
            sides = [side for size in reversed(total) for side in (size // 2, size - size // 2)]
            x, total = rewriter.call(aten.constant_pad_nd.default, x, sides, 0.0), [0] * len(total)
        padding = [size // 2 for size in total]
    elif padding == "valid":
        padding = 0
    if isinstance(padding, list | tuple) and any(isinstance(side, fx.Node) for side in padding):
        around = [side for side in reversed(_each(padding, len(kernel))) for _ in range(2)]
        x, padding = rewriter.call(aten.constant_pad_nd.default, x, around, 0.0), 0
    line = 2 - len(kernel)
    ones, zeros = (1,) * line, (0,) * line
    padding = _each(padding, len(kernel))
    return x, Window(ones + kernel, ones + dilation, zeros + padding, ones + stride)


def _each(value: Any, count: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * count if len(values) == 1 else values


def _patches(rewriter: Rewriter, x: fx.Node, window: Window, positions: int | fx.Node) -> fx.Node:
    """Patches of an input: [samples, channels, height, width] -> [samples, positions, channels x kernel]."""
    samples, channels = rewriter.size(x, 0), rewriter.size(x, 1)
    values = rewriter.arithmetic(operator.mul, channels, math.prod(window.kernel))
    if window.reads_single_values:
        for axis, step in enumerate(window.stride):
            if step > 1:
                x = rewriter.call(aten.slice.Tensor, x, axis + 2, 0, 2**63 - 1, step)
        flat = rewriter.call(aten.flatten.using_ints, x, 2, 3, sizes=(samples, channels, positions))
    else:
        around = (list(window.kernel), list(window.dilation), list(window.padding), list(window.stride))
        flat = rewriter.call(aten.im2col.default, x, *around, sizes=(samples, values, positions))
    return rewriter.call(aten.transpose.int, flat, 1, 2, sizes=(samples, positions, values))
