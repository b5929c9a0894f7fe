"""Products of two activations with the operands of the chip's attention units, with gradients and learned ranges.

A module whose code multiplies activations gets a prepared product for each such multiplication, by its place in the
code: while the module runs, ``torch.matmul``, ``bmm``, ``@`` and ``scaled_dot_product_attention`` are sent there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tilewright.compiler.frontends.decompositions import scaled_dot_product_attention
from tilewright.compiler.network.restorable import Restorable
from tilewright.compiler.training.own_formats import Change, own_formats
from tilewright.compiler.training.precision import in_float32
from tilewright.runtime.units.formats import largest_step, rounded
from tilewright.targets.errors import InputError
from tilewright.targets.spec import bits_of

MULTIPLICATIONS = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}


class _LearnedRange(Function):
    """Rounding to whole steps of a range that is learned (LSQ, Esser et al. 2020)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, value_range: Tensor, bits: int, signed: bool) -> Tensor:
        largest = largest_step(bits, signed=signed)
        steps = values * (largest / value_range)
        whole = steps.round().clamp_(-largest if signed else 0, largest)
        inside = (steps >= (-largest if signed else 0)) & (steps <= largest)
        ctx.largest = largest
        ctx.save_for_backward(inside, torch.where(inside, whole - steps, whole) if value_range.requires_grad else None)
        ctx.like = value_range
        return whole.mul_(value_range / largest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor | None, ...]:
        inside, moved = ctx.saved_tensors
        by_range = None
        if moved is not None:
            factor = 1.0 / (ctx.largest * math.sqrt(moved.numel() / ctx.like.numel() * ctx.largest))
            by_range = (wanted * moved).sum_to_size(ctx.like.shape).mul_(factor)
        return wanted * inside, by_range, None, None


class PreparedProduct(nn.Module, Restorable):
    """A product of two activations on an attention unit: INT-n operands with exact sums, or floating point.

    left_range, right_range: |operand| at full scale [1] or one a head [heads, 1, 1]; parameters if they are learned.
    """

    left_range: Tensor
    right_range: Tensor

    def __init__(
        self,
        operands: str,
        left_ranges: Sequence[float],
        right_ranges: Sequence[float],
        *,
        left_signed: bool,
        learned: bool,
    ) -> None:
        super().__init__()
        self.operands, self.left_signed = operands, left_signed
        for name, ranges in (("left_range", left_ranges), ("right_range", right_ranges)):
            value = torch.tensor(ranges, dtype=torch.float32)
            value = value.view(-1, 1, 1) if len(ranges) > 1 else value
            if learned and bits_of(operands) is not None:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def _apply(self, fn: Change, recurse: bool = True) -> Self:
        with own_formats(self, ["left_range", "right_range"]):
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def trained(self) -> dict[str, Tensor]:
        """Ranges of the operands [1] or [heads], as a checkpoint has them; none of floating point."""
        if bits_of(self.operands) is None:
            return {}
        return {"left_range": self.left_range.flatten(), "right_range": self.right_range.flatten()}

    def restore(self) -> None:
        """Stay as it is: the module around it takes it away."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Product [..., m, n] of left [..., m, k] and right [..., k, n]."""
        return in_float32(self._multiply, left, right)

    def _multiply(self, left: Tensor, right: Tensor) -> Tensor:
        bits = bits_of(self.operands)
        if bits is None:
            return torch.matmul(self._float(left), self._float(right))
        left = _LearnedRange.apply(left, self.left_range, bits, self.left_signed)  # type: ignore[no-untyped-call]
        return torch.matmul(left, _LearnedRange.apply(right, self.right_range, bits, True))  # type: ignore[no-untyped-call]

    def _float(self, values: Tensor) -> Tensor:
        return values + (rounded(values.detach(), self.operands, 1.0) - values.detach())


class _Sent(TorchFunctionMode):
    """Mode that sends a module's products of activations to prepared ones, in the order of its code."""

    def __init__(self, products: Sequence[PreparedProduct], drops: bool) -> None:
        super().__init__()
        self.products, self.drops, self.sent = products, drops, 0

    def next(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The next prepared product; after the last the first again, for another use of the module."""
        self.sent += 1
        return self.products[(self.sent - 1) % len(self.products)]

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        named = named or {}
        if function is functional.scaled_dot_product_attention:
            return scaled_dot_product_attention(
                *arguments, **named, products=(self.next(), self.next()), drops=self.drops
            )
        if function in MULTIPLICATIONS and len(arguments) == 2 and not named and all(map(_is_activation, arguments)):
            return self.next()(*arguments)
        return function(*arguments, **named)


def _is_activation(operand: object) -> bool:
    return isinstance(operand, Tensor) and not isinstance(operand, nn.Parameter) and operand.dim() >= 3


class Sending(Restorable):
    """Base of modules whose products of activations are prepared."""

    torch_class: type[nn.Module]
    product_names: tuple[str, ...]

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Outputs of the module's own code. Raises ``InputError`` if its products are not found there."""
        assert isinstance(self, nn.Module)
        mode = _Sent([getattr(self, name) for name in self.product_names], self.training)
        with mode:
            outputs = self.torch_class.forward(self, *arguments, **named)
        if not mode.sent or mode.sent % len(self.product_names):
            raise InputError(
                f"{self.torch_class.__name__} multiplies activations {mode.sent} times where the plan has "
                f"{len(self.product_names)} products ({', '.join(self.product_names)}): its attention cannot be "
                "prepared; a recipe with attention: full_precision leaves it as it is"
            )
        return outputs

    def __reduce__(self) -> tuple[Any, ...]:
        """Way to pickle a module whose class is made when it is asked for."""
        return _sending, (self.torch_class,), self.__dict__

    def restore(self) -> None:
        """Run the module's own code alone again."""
        for name in self.__dict__.pop("product_names"):
            del self._modules[name]  # type: ignore[attr-defined]
        self.__class__ = self.torch_class  # type: ignore[assignment]


@cache
def sending_class(torch_class: type[nn.Module]) -> type[nn.Module]:
    """Subclass of a module's class that sends its products of activations to prepared ones."""
    return type(f"Prepared{torch_class.__name__}", (Sending, torch_class), {"torch_class": torch_class})


def _sending(torch_class: type[nn.Module]) -> nn.Module:
    """Module that sends its products, before it has its state."""
    made: Any = sending_class(torch_class)  # type: ignore[arg-type]
    empty: nn.Module = made.__new__(made)
    return empty


def prepare_products(owner: nn.Module, products: dict[str, PreparedProduct]) -> None:
    """Let a module send its products of activations, in the order of its code, to these, which become its parts."""
    for name, product in products.items():
        owner.add_module(name, product.to(next(owner.parameters(), torch.empty(0)).device))
    owner.__dict__["product_names"] = tuple(products)
    owner.__class__ = sending_class(type(owner))  # type: ignore[arg-type]
