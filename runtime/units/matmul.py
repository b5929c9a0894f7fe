"""Products of two activations on attention units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic.integer_product import EXACT_IN_FLOAT32
from tilewright.runtime.chip.fixed_precision import FixedPrecision
from tilewright.runtime.chip.nonfinite import products_apart
from tilewright.runtime.units.formats import largest_step, rounded, to_steps
from tilewright.targets.errors import InputError
from tilewright.targets.spec import bits_of


class UnitMatmul(FixedPrecision):
    """A product of two activations on a unit with wide accumulators; INT-n is symmetric (Spoon 2021, Sec. 3.2)."""

    left_range: float | Tensor
    right_range: float | Tensor

    def __init__(
        self, operands: str, left_ranges: Sequence[float], right_ranges: Sequence[float], *, left_signed: bool = True
    ) -> None:
        """Set the format of the operands and their ranges.

        Ranges: what the largest whole number stands for, one or one a head (the second of four dimensions); not used by
        floating point. left_signed: False where the left operand is never negative, as probabilities are: n bits then
        reach 2^n - 1.
        """
        super().__init__()
        self.operands, self.left_signed = operands, left_signed
        self._hold_ranges("left_range", left_ranges)
        self._hold_ranges("right_range", right_ranges)

    def _hold_ranges(self, name: str, ranges: Sequence[float]) -> None:
        """Hold ranges as one number, or as a buffer [heads, 1, 1]."""
        if len(ranges) == 1:
            setattr(self, name, ranges[0])
        else:
            self.hold(name, torch.tensor(ranges).view(-1, 1, 1))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Product [..., m, n] of left [..., m, k] and right [..., k, n]. Sums of whole numbers are exact.

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
