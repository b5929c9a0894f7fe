"""The interface between a tile's law and the numbers it is computed with.

The law (``tile.py``) is written over converters, products and power products. An implementation says how these are
computed: in whole numbers, in floats; later with gradients, in a compiled kernel or on a GPU. It may hold matrices in
any form it likes, as buffers, so that they move with their module. A kernel that makes a whole read at once takes the
place of ``TileRow.multiply`` and is compared with the law over one of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from tilewright.runtime.chip.converters import read_out
from tilewright.runtime.chip.fixed_precision import FixedPrecision
from tilewright.targets.spec import Converter


@dataclass(frozen=True)
class Drive:
    """Inputs on the rows of a tile: ``numbers · unit`` [M, rows], in parts of the input range."""

    numbers: Tensor
    unit: float
    largest: int = 127
    """Largest number that there can be, where numbers are whole and of 8 bits."""


class Matrix(FixedPrecision, ABC):
    """A real matrix [columns, rows], held for products."""

    @abstractmethod
    def product(self, drive: Drive) -> Tensor:
        """Product Σ_j m_ij x_j [M, columns], in floats, for the caller to work on in place."""


class Magnitudes(FixedPrecision, ABC):
    """Numbers above zero [columns, rows], held for sums that need not be as fine as the product itself."""

    @abstractmethod
    def product(self, drive: Drive) -> Tensor:
        """Current that is drawn, Σ_j m_ij |x_j| [M, columns]."""

    @abstractmethod
    def power(self, drive: Drive, deviation: float) -> Tensor:
        """Variance of a noise of this deviation on every weight: deviation² Σ_j m_ij x_j² [M, columns]."""


class Arithmetic(ABC):
    """Converters, products and power products of one tile row. Has no state: an instance serves all tiles."""

    @abstractmethod
    def dac(self, values: Tensor, input_range: float | Tensor, dac: Converter | None) -> tuple[Drive, Drive]:
        """Inputs [M, rows] as the DAC was asked for them, and as it puts them on the rows: one drive if it is straight.

        input_range: a number, or one a vector [M, 1]. The sum is made of what is on the rows; noise and IR drop, which
        are small beside it, of what was asked for.
        """

    @abstractmethod
    def dac_offset(self, offset: Tensor, dac: Converter) -> Drive:
        """Constant that the DACs add to every input [1, rows]. offset: in their LSB [rows]."""

    @abstractmethod
    def matrix(self, values: Tensor) -> Matrix:
        """A matrix [columns, rows] as this arithmetic holds it."""

    @abstractmethod
    def magnitudes(self, values: Tensor) -> Magnitudes:
        """Numbers above zero [columns, rows] as this arithmetic holds them."""

    @abstractmethod
    def constant_power(self, drive: Drive, deviation: float, share: float) -> Tensor:
        """Variance of a noise that is the same on every weight: share · deviation² Σ_j x_j² [M, 1]."""

    def adc(self, currents: Tensor, adc: Converter | None, offset: Tensor | None) -> Tensor:
        """Currents as the ADCs read them, in place. offset: in their LSB, broadcast to the currents."""
        return read_out(currents, adc, offset)
