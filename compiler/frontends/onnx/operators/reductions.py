"""ONNX operators for sums, extremes and orders along axes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tilewright.compiler.frontends.onnx.call import Call, positive
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdim=keep)
    return x


REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": lambda x, axes, keep: torch.sum(x, axes, keep, dtype=x.dtype),
    "ReduceMean": torch.mean,
    "ReduceMax": torch.amax,
    "ReduceMin": torch.amin,
    "ReduceProd": _product,
    "ReduceL1": lambda x, axes, keep: torch.sum(x.abs(), axes, keep),
    "ReduceL2": lambda x, axes, keep: torch.sqrt(torch.sum(x.square(), axes, keep)),
    "ReduceSumSquare": lambda x, axes, keep: torch.sum(x.square(), axes, keep),
    "ReduceLogSum": lambda x, axes, keep: torch.log(torch.sum(x, axes, keep)),
    "ReduceLogSumExp": torch.logsumexp,
}


def _register(name: str, function: Reduction) -> None:
    def reduce(call: Call) -> Value:
        """Reduction over axes that are an attribute or a constant input."""
        x = call.tensor(0)
        axes = call.axes()
        if not axes:
            if call.attribute("noop_with_empty_axes", 0):
                return x
            axes = list(range(x.dim()))
        return function(x, [positive(axis, x.dim(), call) for axis in axes], bool(call.attribute("keepdims", 1)))

    operator(name)(reduce)


for _name, _function in REDUCTIONS.items():
    _register(_name, _function)


@operator("ArgMax", "ArgMin")
def arg_extreme(call: Call) -> Value:
    """Place of the largest or smallest value, the first or last of equal ones."""
    x = call.tensor(0)
    function = torch.argmax if call.node.operator == "ArgMax" else torch.argmin
    axis, keep = positive(call.attribute("axis", 0), x.dim(), call), bool(call.attribute("keepdims", 1))
    if call.attribute("select_last_index", 0):
        return x.shape[axis] - 1 - function(x.flip(axis), axis, keep)
    return function(x, axis, keep)


@operator("TopK")
def top_k(call: Call) -> tuple[Value | None, ...]:
    """The k largest or smallest values; k constant or from sizes."""
    x = call.tensor(0)
    (count,) = call.known_list(1, "k")
    axis = positive(call.attribute("axis", -1), x.dim(), call)
    # a stable sort: torch.topk leaves open which of equal values comes first
    values, places = torch.sort(x, dim=axis, descending=bool(call.attribute("largest", 1)), stable=True)
    return values.narrow(axis, 0, count), places.narrow(axis, 0, count)


@operator("CumSum", "CumProd")
def cumulative_sum(call: Call) -> Value:
    """Cumulative sum or product, exclusive and reversed too."""
    x = call.tensor(0)
    (axis,) = call.known_list(1, "axis")
    axis = positive(int(axis), x.dim(), call)
    is_sum, backwards = call.node.operator == "CumSum", bool(call.attribute("reverse", 0))
    x = x.flip(axis) if backwards else x
    if call.attribute("exclusive", 0):
        first = (torch.zeros_like if is_sum else torch.ones_like)(x.narrow(axis, 0, 1))
        x = torch.cat([first, x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    total = (torch.cumsum if is_sum else torch.cumprod)(x, axis, dtype=x.dtype)
    return total.flip(axis) if backwards else total
