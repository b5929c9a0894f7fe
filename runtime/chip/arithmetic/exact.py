"""Arithmetic in whole numbers: sums are exact, so no batch size, thread count or processor changes a bit.

After its DAC a tile's input is a vector of whole numbers. The weights are held on a grid of 2^-13 as two int8 matrices,
so the analog sum is one of integers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic.arithmetic import Arithmetic, Drive, Magnitudes, Matrix
from tilewright.runtime.chip.arithmetic.integer_product import integer_product, two_digit_product
from tilewright.runtime.chip.converters import FINE, bent_levels, to_levels
from tilewright.targets.spec import Converter

HIGH, LOW = 64, 128
"""Divisors of the two int8 parts of a weight, high/64 + low/(64 · 128): a grid of 2^-13, up to ±1.98."""

LARGEST = 127 / HIGH
"""The largest weight on the grid; where a larger one appears the grid is made coarser by a power of two."""

DIGIT_BITS = 7
"""Bits of a digit: x² of an 8-bit input is split into two such digits, each an int8."""


class GridMatrix(Matrix):
    """A real matrix on the grid of 2^-13, as two int8 matrices: its products with integers are exact.

    The rounding is at most 2^-14, 170 times below the smallest programming noise of PCM (0.0105).
    """

    high: Tensor
    low: Tensor

    def __init__(self, matrix: Tensor) -> None:
        """Hold a matrix [columns, rows]."""
        super().__init__()
        largest = float(matrix.abs().max()) if matrix.numel() else 0.0
        self.coarser = 2.0 ** max(0, math.ceil(math.log2(largest / LARGEST))) if largest > LARGEST else 1.0
        high = (matrix * (HIGH / self.coarser)).round_().clamp_(-127, 127)
        low = (matrix * (HIGH * LOW / self.coarser)).sub_(high, alpha=LOW).round_().clamp_(-128, 127)
        self.hold("high", high.to(torch.int8))
        self.hold("low", low.to(torch.int8))

    def product(self, drive: Drive) -> Tensor:
        """Product Σ_j m_ij x_j [M, columns] as float32, rounded once."""
        product = two_digit_product((drive.numbers, self.high), (drive.numbers, self.low), LOW)
        return product.mul_(drive.unit * self.coarser / (HIGH * LOW))


class StepMagnitudes(Magnitudes):
    """Numbers above zero in int8 steps of 1/64, rounded so that sums along a column keep their value.

    What rounding takes from one it gives to the next (the running sum is rounded, not the number), so a column of many
    small weights does not lose its read noise.
    """

    steps: Tensor

    def __init__(self, values: Tensor) -> None:
        """Hold values [columns, rows] above zero."""
        super().__init__()
        largest = float(values.max()) if values.numel() else 0.0
        self.unit = max(1.0, largest * HIGH / 126) / HIGH
        running = (values / self.unit).cumsum(dim=1, dtype=torch.float64).round_()
        first = running.new_zeros(running.shape[0], 1)
        self.hold("steps", running.diff(dim=1, prepend=first).to(torch.int8))

    def product(self, drive: Drive) -> Tensor:
        """Current that is drawn, Σ_j m_ij |x_j| [M, columns]."""
        drawn = integer_product(drive.numbers.abs(), self.steps).to(torch.float32)
        return drawn.mul_(drive.unit * self.unit)

    def power(self, drive: Drive, deviation: float) -> Tensor:
        """Variance of the noise, deviation² Σ_j m_ij x_j² [M, columns]."""
        squares = _squares(drive.numbers)
        if drive.numbers.dtype == torch.int8:
            digits, rest = squares >> DIGIT_BITS, squares & (2**DIGIT_BITS - 1)
            high, low = digits.to(torch.int8), rest.to(torch.int8)
            variance = two_digit_product((high, self.steps), (low, self.steps), 2**DIGIT_BITS)
        else:
            variance = integer_product(squares, self.steps).to(torch.float32)
        return variance.mul_((deviation * drive.unit) ** 2 * self.unit)


class Exact(Arithmetic):
    """Exact arithmetic: inputs in whole steps of the DAC, weights on a grid. Needs a DAC."""

    def dac(self, values: Tensor, input_range: float | Tensor, dac: Converter | None) -> tuple[Drive, Drive]:
        """Inputs [M, rows] as levels of the DAC; a bent one drives the rows in parts of a level."""
        assert dac is not None
        asked = Drive(to_levels(values, input_range, dac), dac.step)
        if not dac.nonlinearity:
            return asked, asked
        return asked, Drive(bent_levels(asked.numbers, dac), dac.step / FINE)

    def dac_offset(self, offset: Tensor, dac: Converter) -> Drive:
        """Constant that the DACs add to every input [1, rows], in parts of a level."""
        return Drive((offset * FINE).round().to(torch.int32).unsqueeze(0), dac.step / FINE)

    def matrix(self, values: Tensor) -> GridMatrix:
        """A matrix [columns, rows] as two int8 matrices on the grid of 2^-13."""
        return GridMatrix(values)

    def magnitudes(self, values: Tensor) -> StepMagnitudes:
        """Numbers above zero [columns, rows] as int8 steps of 1/64."""
        return StepMagnitudes(values)

    def constant_power(self, drive: Drive, deviation: float, share: float) -> Tensor:
        """Variance of a noise that is the same on every weight: share · deviation² Σ_j x_j² [M, 1]."""
        energy = _squares(drive.numbers).to(torch.float64).sum(dim=1, keepdim=True).to(torch.float32)
        return energy.mul_((deviation * drive.unit) ** 2 * share)


def _squares(levels: Tensor) -> Tensor:
    """Squares of levels, as whole numbers: square() goes through a power."""
    wide = levels.to(torch.int16 if levels.dtype == torch.int8 else torch.int32)
    return wide * wide


EXACT = Exact()
