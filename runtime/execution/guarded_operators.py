"""Guards for what torch's kernels do not check for themselves, and a stranger's plan could end the process with.

Shapes are checked when a graph is run on shapes, values when it runs in earnest: of those only the divisors of whole
numbers, where the processor itself stops at the least number divided by -1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from tilewright.runtime.plan.operators import arguments_of
from tilewright.targets.errors import InputError

aten = torch.ops.aten
Arguments = dict[str, Any]


def check_shapes(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise ``InputError`` for arguments whose shapes an operator's kernel would read past.

    Of these operators, and of those that give what a mask is true for, every tensor must be one: torch, which takes
    numbers for some, is not asked before.
    """
    check = SHAPE_CHECKS.get(function)
    if check is None and function not in TAKING_MASKS:
        return
    given = arguments_of(function, args, kwargs)
    for argument in function._schema.arguments:
        value = given[argument.name]
        values = value if isinstance(value, list | tuple) and "Tensor" in str(argument.type) else [value]
        if "Tensor" in str(argument.type) and any(not isinstance(one, Tensor | None) for one in values):
            raise InputError(f"its {argument.name} is {type(value).__name__}, not a tensor")
    if check is not None:
        check(given)


def check_channels(x: Tensor, *parameters: Tensor | None) -> None:
    """Raise ``InputError`` unless each parameter has a number for each channel of x [samples, channels, ...]."""
    if x.dim() < 2:
        raise InputError(f"a norm over channels of an input of shape {list(x.shape)}, which has none")
    for parameter in parameters:
        if parameter is not None and list(parameter.shape) != [x.shape[1]]:
            raise InputError(f"a norm over {x.shape[1]} channels has a parameter of shape {list(parameter.shape)}")


def _batch_norm(given: Arguments) -> None:
    check_channels(given["input"], *(given[name] for name in ("weight", "bias", "running_mean", "running_var")))


def _group_norm(given: Arguments) -> None:
    x = given["input"]
    sizes = [given["N"], given["C"], given["HxW"]]
    actual = [x.shape[0], x.shape[1], x[:1, :1].numel()] if x.dim() >= 2 and x.numel() else [0, 0, 0]
    if sizes != actual or given["group"] < 1 or sizes[1] % given["group"]:
        raise InputError(f"{given['group']} groups of {sizes} do not fit an input of shape {list(x.shape)}")
    check_channels(x, given["weight"], given["bias"])


def _average_pool(given: Arguments) -> None:
    if given["divisor_override"] is not None and given["divisor_override"] < 1:
        raise InputError(f"the divisor of its averages is {given['divisor_override']}, allowed is 1 or more")


def _one_hot(given: Arguments) -> None:
    if given["num_classes"] < 1:
        raise InputError(f"its number of classes is {given['num_classes']}, allowed is 1 or more")


SHAPE_CHECKS: dict[Any, Callable[[Arguments], None]] = {
    aten._native_batch_norm_legit_no_training.default: _batch_norm,
    aten.native_group_norm.default: _group_norm,
    aten.avg_pool2d.default: _average_pool,
    aten.avg_pool3d.default: _average_pool,
    aten.one_hot.default: _one_hot,
}


TAKING_MASKS = {aten.index.Tensor, aten.masked_select.default}
"""Operators that give what a mask is true for."""


def guard_values(graph: fx.Graph) -> None:
    """Let a graph that runs in earnest call guarded functions in place of those that values can end the process of."""
    for node in graph.nodes:
        if node.op == "call_function" and node.target in DIVISIONS:
            node.target = DIVISIONS[node.target]


def check_divisor(dividend: Any, divisor: Any) -> None:
    """Raise ``InputError`` where the least whole number of a type is divided by -1, which has no quotient in it."""
    kind = torch.result_type(dividend, divisor)
    if kind.is_floating_point or kind == torch.bool or not torch.iinfo(kind).min:
        return
    least = torch.iinfo(kind).min
    divisor_there = torch.as_tensor(divisor).to(kind) == -1
    if bool(divisor_there.any()) and bool(((torch.as_tensor(dividend).to(kind) == least) & divisor_there).any()):
        raise InputError(f"{least} is divided by -1, which has no quotient among numbers of {kind}")


def divide(dividend: Tensor, divisor: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Quotient as of ``aten.div.Tensor_mode``, behind a guard."""
    if rounding_mode is not None:
        check_divisor(dividend, divisor)
    quotient: Tensor = aten.div.Tensor_mode(dividend, divisor, rounding_mode=rounding_mode)
    return quotient


def floor_divide(dividend: Tensor, divisor: Any) -> Tensor:
    """Quotient as of ``aten.floor_divide``, behind a guard."""
    check_divisor(dividend, divisor)
    quotient: Tensor = aten.floor_divide.default(dividend, divisor)
    return quotient


DIVISIONS: dict[Any, Callable[..., Tensor]] = {
    aten.div.Tensor_mode: divide,
    aten.floor_divide.default: floor_divide,
}
"""Operators that a session calls behind a guard of values."""
UNGUARDED = {guarded: function for function, guarded in DIVISIONS.items()}
