"""Digital units: layers and products of two activations, with numbers rounded to a unit's formats."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.runtime.integer_product import EXACT_IN_FLOAT32, integer_product
from tilewright.runtime.memory_map import used
from tilewright.runtime.nonfinite import products_apart, rows_apart
from tilewright.runtime.programming.scaling import divisor, weight_scale
from tilewright.targets.errors import InputError
from tilewright.targets.spec import DigitalTarget, bits_of

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def largest_step(bits: int, *, signed: bool = True) -> int:
    """The largest whole number of so many bits, symmetric around zero if it has a sign."""
    return int(2 ** (bits - 1) - 1 if signed else 2**bits - 1)


def to_steps(values: Tensor, value_range: float | Tensor, bits: int, *, signed: bool = True) -> Tensor:
    """Whole numbers up to ``largest_step``, as float32: round(x / range · largest)."""
    largest = largest_step(bits, signed=signed)
    steps: Tensor = (values * (largest / value_range)).round_()
    return steps.clamp_(-largest if signed else 0, largest)


def rounded(values: Tensor, number_format: str, value_range: float | Tensor, *, signed: bool = True) -> Tensor:
    """The values as a unit of that format holds them; floating point always has a sign."""
    bits = bits_of(number_format)
    if bits is None:
        dtype = DTYPES[number_format]
        largest = torch.finfo(dtype).max  # a unit saturates, it does not overflow
        return values.clamp(-largest, largest).to(dtype).to(torch.float32)
    return to_steps(values, value_range, bits, signed=signed).mul_(value_range / largest_step(bits, signed=signed))


class DigitalUnitLinear(nn.Module):
    """A layer on a digital unit: weights with a scale a column, inputs with a range a use; sums are not rounded."""

    def __init__(self, weight: Tensor, bias: Tensor | None, unit: DigitalTarget, input_ranges: list[float]) -> None:
        """weight: [out, in]; bias: [out]."""
        super().__init__()
        self.unit, self.input_ranges, self.weight, self.bias = unit, input_ranges, weight, bias
        self.weight_bits, self.input_bits = bits_of(unit.weights), bits_of(unit.inputs)
        self.scale = divisor(weight_scale(weight, [len(weight)]))
        self.steps: Tensor | None = None
        if self.weight_bits is not None and self.input_bits is not None:
            self.steps = to_steps(weight, self.scale.unsqueeze(1), self.weight_bits)
            self.fits_eight_bits = max(self.weight_bits, self.input_bits) <= 8
            self.steps = self.steps.to(torch.int8) if self.fits_eight_bits else self.steps.double()
        else:
            self.held = rounded(weight, unit.weights, self.scale.unsqueeze(1))

    def held_weights(self) -> Tensor:
        """The weights as the unit holds them [out, in], in the model's units."""
        if self.steps is None or self.weight_bits is None:
            return self.held
        held: Tensor = self.steps.float() * (self.scale / largest_step(self.weight_bits)).unsqueeze(1)
        return held

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        """x: [..., in] -> [..., out]. Sums of whole numbers are exact.

        A vector that holds a NaN or infinity has the model's product, as on tiles.
        """
        outputs = rows_apart(x.reshape(-1, x.shape[-1]), partial(self._multiply, self.input_ranges[use]), self._exact)
        return outputs.view(*x.shape[:-1], outputs.shape[-1])

    def _exact(self, values: Tensor) -> Tensor:
        return functional.linear(values, used(self.weight), self.bias)

    def _multiply(self, input_range: float, values: Tensor) -> Tensor:
        """values: [M, in], finite -> [M, out]."""
        if self.steps is None:
            outputs = functional.linear(rounded(values, self.unit.inputs, input_range), self.held)
        else:
            assert self.weight_bits is not None and self.input_bits is not None
            steps = to_steps(values, input_range, self.input_bits)
            if self.fits_eight_bits:
                product = integer_product(steps.to(torch.int8), self.steps)
            else:
                product = steps.double() @ self.steps.T
            largest = largest_step(self.weight_bits) * largest_step(self.input_bits)
            outputs = product.to(torch.float32).mul_(self.scale * (input_range / largest))
        if self.bias is not None:
            outputs = outputs.add_(self.bias)
        return outputs


class DigitalMatmul(nn.Module):
    """A product of two activations in full precision."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """left: [..., m, k], right: [..., k, n] -> [..., m, n]."""
        return torch.matmul(left, right)


class UnitMatmul(nn.Module):
    """A product of two activations on a unit with wide accumulators; INT-n is symmetric (Spoon 2021, Sec. 3.2)."""

    def __init__(
        self, operands: str, left_ranges: Sequence[float], right_ranges: Sequence[float], *, left_signed: bool = True
    ) -> None:
        """operands: their format. Ranges: what the largest whole number stands for, one or one a head (the second of
        four dimensions); not used by floating point. left_signed: False where the left operand is never negative, as
        probabilities are: n bits then reach 2^n - 1.
        """
        super().__init__()
        self.operands, self.left_signed = operands, left_signed
        self.left_range, self.right_range = _a_head(left_ranges), _a_head(right_ranges)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """left: [..., m, k], right: [..., k, n] -> [..., m, n]. Sums of whole numbers are exact.

        What a NaN or infinity takes part in is the model's product. Raises ``InputError`` where ranges a head do not
        fit the operands.
        """
        for operand, ranges in ((left, self.left_range), (right, self.right_range)):
            if isinstance(ranges, Tensor) and (operand.dim() < 3 or operand.shape[-3] != len(ranges)):
                raise InputError(f"{len(ranges)} ranges a head do not fit an operand of shape {list(operand.shape)}")
        return products_apart(left, right, self._multiply)

    def _multiply(self, left: Tensor, right: Tensor) -> Tensor:
        bits = bits_of(self.operands)
        if bits is None:
            return torch.matmul(rounded(left, self.operands, 1.0), rounded(right, self.operands, 1.0))
        left = to_steps(left, self.left_range, bits, signed=self.left_signed)
        right = to_steps(right, self.right_range, bits)
        largest = (largest_step(bits, signed=self.left_signed), largest_step(bits))
        if left.shape[-1] * largest[0] * largest[1] >= EXACT_IN_FLOAT32:
            left, right = left.double(), right.double()
        unit = (self.left_range / largest[0]) * (self.right_range / largest[1])
        return torch.matmul(left, right).to(torch.float32).mul_(unit)


def _a_head(ranges: Sequence[float]) -> float | Tensor:
    """One number, or [heads, 1, 1]."""
    return ranges[0] if len(ranges) == 1 else torch.tensor(ranges).view(-1, 1, 1)
