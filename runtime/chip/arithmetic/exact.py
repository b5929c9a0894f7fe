"""Arithmetic in whole numbers: sums are exact, so no batch size, thread count, processor or kernel changes a bit.

After its DAC a tile's input is a vector of whole numbers. Weights are held on a grid of 2^-13, so the analog sum is one
of integers. What the noise is made of need not be as fine: squares of inputs and sizes of weights are rounded so that
running sums keep their value, and neither the noise of many small weights nor that of many small inputs is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic.arithmetic import Arithmetic, Drive, Magnitudes, Matrix
from tilewright.runtime.chip.arithmetic.integer_product import integer_product, two_digit_product
from tilewright.runtime.chip.converters import FINE, bent_levels, to_levels
from tilewright.runtime.chip.fixed_precision import FixedPrecision
from tilewright.runtime.chip.kernels import products
from tilewright.runtime.chip.kernels.native import is_readable
from tilewright.targets.spec import Converter

GRID = 2**13
"""Steps of the weights' grid in a weight of 1."""

LARGEST_STEP = 127 * 128
"""Largest weight on the grid, 1.98; where a larger one appears the grid is made coarser by a power of two."""

MAGNITUDE_BITS = 8
"""Bits of the grid that a magnitude is without: steps of 1/32, at most 64."""


def on_grid(values: Tensor, coarser: float) -> Tensor:
    """Values as whole steps, int16, of the grid that is coarser than 2^-13 by a factor.

    The rounding is at most 2^-14, 170 times below the smallest programming noise of PCM (0.0105).
    """
    return (values * (GRID / coarser)).round_().to(torch.int16)


def coarser_of(values: Tensor) -> float:
    """Factor by which the grid of these numbers is coarser than 2^-13."""
    if not values.numel():
        return 1.0
    least, largest = values.aminmax()
    return coarser_for(max(-float(least), float(largest)))


def coarser_for(largest: float) -> float:
    """Factor by which the grid is coarser than 2^-13 where this is the largest number."""
    steps = largest * GRID
    return math.ldexp(1.0, math.ceil(math.log2(steps / LARGEST_STEP))) if steps > LARGEST_STEP else 1.0


def magnitude_unit(coarser: float) -> float:
    """Size of a magnitude's step on a grid that is coarser by this factor."""
    return math.ldexp(coarser, MAGNITUDE_BITS) / GRID


def square_bits(levels: int) -> int:
    """Bits that the square of an input of at most so many levels is without, so that it is at most 127."""
    return max(0, (levels * levels).bit_length() - 7)


def without_bits(numbers: Tensor, bits: int) -> Tensor:
    """Whole numbers above zero [lines, places] over 2^bits, rounded so that the running sum of a line keeps its value.

    What rounding takes from one it gives to the next: the running sum is rounded, not the number. int8.
    """
    running = numbers.cumsum(dim=1, dtype=torch.int32).add_(2**bits >> 1).bitwise_right_shift_(bits)
    return running.diff(dim=1, prepend=running.new_zeros(len(running), 1)).to(torch.int8)


class WholeNumbers(FixedPrecision):
    """Whole numbers [columns, rows], in the order that the kernels read where there are any."""

    held: Tensor

    def __init__(self, numbers: Tensor, shape: tuple[int, int], unit: float, *, packed: bool) -> None:
        """Hold numbers, packed already or not: in ``shape`` [columns, rows], each worth ``unit``."""
        super().__init__()
        (self.columns, self.rows), self.unit, self.packed = shape, unit, packed
        self.hold("held", numbers)

    @property
    def steps(self) -> Tensor:
        """The whole numbers [columns, rows]."""
        return products.unpack(self.held, self.columns, self.rows) if self.packed else self.held

    def _multiplied_by_kernels(self, numbers: Tensor) -> bool:
        """True if the kernels multiply these numbers [M, rows] with the matrix."""
        on_processor = numbers.device.type == self.held.device.type == "cpu"
        return self.packed and on_processor and numbers.dtype == torch.int8


def _held(values: Tensor, together: int, made_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, float, bool]:
    """Values [columns, rows] as they are held, how much coarser than the grid they are, and whether they are packed.

    together: rows that lie side by side once packed. made_of: what is held, of whole steps of the grid.
    """
    coarser, packed = coarser_of(values), products.fits(values.shape[1])
    if packed and is_readable(values):
        return products.packed_grid(values, GRID / coarser, together), coarser, packed
    steps = made_of(on_grid(values, coarser))
    return products.pack(steps, together) if packed else steps, coarser, packed


class GridMatrix(WholeNumbers, Matrix):
    """A real matrix on the grid of 2^-13, in int16: its products with integers are exact."""

    @classmethod
    def of(cls, values: Tensor) -> GridMatrix:
        """Values [columns, rows] on the grid."""
        held, coarser, packed = _held(values, products.PAIR, lambda steps: steps)
        return cls(held, (values.shape[0], values.shape[1]), coarser / GRID, packed=packed)

    def product(self, drive: Drive) -> Tensor:
        """Product Σ_j m_ij x_j [M, columns] as float32, rounded once."""
        unit = drive.unit * self.unit
        if self._multiplied_by_kernels(drive.numbers):
            return products.multiply(drive.numbers, self.held, self.columns, unit)
        if drive.numbers.dtype != torch.int8:
            return integer_product(drive.numbers, self.steps).to(torch.float32).mul_(unit)
        high = (self.steps + 64) >> 7
        low = self.steps - (high << 7)
        digits = (drive.numbers, high.to(torch.int8)), (drive.numbers, low.to(torch.int8))
        return two_digit_product(*digits, 128).mul_(unit)


class StepMagnitudes(WholeNumbers, Magnitudes):
    """Numbers above zero in int8 steps of 1/32, whose sums along a column keep their value."""

    @classmethod
    def of(cls, values: Tensor) -> StepMagnitudes:
        """Values [columns, rows], at least zero, in such steps."""
        held, coarser, packed = _held(values, products.FOUR, lambda steps: without_bits(steps, MAGNITUDE_BITS))
        return cls(held, (values.shape[0], values.shape[1]), magnitude_unit(coarser), packed=packed)

    def product(self, drive: Drive) -> Tensor:
        """Current that is drawn, Σ_j m_ij |x_j| [M, columns]."""
        return self._sums(drive.numbers.abs()).mul_(drive.unit * self.unit)

    def _sums(self, sizes: Tensor) -> Tensor:
        """Sums Σ_j m_ij s_j [M, columns] of sizes at least zero [M, rows], rounded to float32 once."""
        if self._multiplied_by_kernels(sizes):
            return products.multiply_sizes(sizes, self.held, self.columns).to(torch.float32)
        return integer_product(sizes, self.steps).to(torch.float32)

    def power(self, drive: Drive, deviation: float) -> Tensor:
        """Variance of the noise, deviation² Σ_j m_ij x_j² [M, columns]."""
        squares, unit = _squares(drive.numbers), (deviation * drive.unit) ** 2 * self.unit
        if drive.numbers.dtype == torch.int8:
            bits = square_bits(drive.largest)
            squares, unit = without_bits(squares, bits), unit * 2.0**bits
        return self._sums(squares).mul_(unit)


class Exact(Arithmetic):
    """Exact arithmetic: inputs in whole steps of the DAC, weights on a grid. Needs a DAC."""

    def dac(self, values: Tensor, input_range: float | Tensor, dac: Converter | None) -> tuple[Drive, Drive]:
        """Inputs [M, rows] as levels of the DAC; a bent one drives the rows in parts of a level."""
        assert dac is not None
        asked = Drive(to_levels(values, input_range, dac), dac.step, dac.levels)
        if not dac.nonlinearity:
            return asked, asked
        return asked, Drive(bent_levels(asked.numbers, dac), dac.step / FINE)

    def dac_offset(self, offset: Tensor, dac: Converter) -> Drive:
        """Constant that the DACs add to every input [1, rows], in parts of a level."""
        return Drive((offset * FINE).round().to(torch.int32).unsqueeze(0), dac.step / FINE)

    def matrix(self, values: Tensor) -> GridMatrix:
        """A matrix [columns, rows] on the grid of 2^-13."""
        return GridMatrix.of(values)

    def magnitudes(self, values: Tensor) -> StepMagnitudes:
        """Numbers above zero [columns, rows] in steps of 1/32."""
        return StepMagnitudes.of(values)

    def constant_power(self, drive: Drive, deviation: float, share: float) -> Tensor:
        """Variance of a noise that is the same on every weight: share · deviation² Σ_j x_j² [M, 1]."""
        energy = _squares(drive.numbers).to(torch.float64).sum(dim=1, keepdim=True).to(torch.float32)
        return energy.mul_((deviation * drive.unit) ** 2 * share)


def _squares(levels: Tensor) -> Tensor:
    """Squares of levels, as whole numbers: square() goes through a power."""
    wide = levels.to(torch.int16 if levels.dtype == torch.int8 else torch.int32)
    return wide * wide


EXACT = Exact()
