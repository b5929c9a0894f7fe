"""Arithmetic in floats: nothing rounds but converters. For tiles without a DAC, and to compare with."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from tilewright.runtime.chip.arithmetic.arithmetic import Arithmetic, Drive, Magnitudes, Matrix
from tilewright.runtime.chip.converters import FINE, bent_levels, to_levels
from tilewright.targets.spec import Converter


class FloatMatrix(Matrix):
    """A matrix [columns, rows] in floats, as it is given."""

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        """Hold values [columns, rows]."""
        super().__init__()
        self.hold("values", values)

    def product(self, drive: Drive) -> Tensor:
        """Product Σ_j m_ij x_j [M, columns]."""
        return functional.linear(drive.numbers, self.values)


class FloatMagnitudes(Magnitudes):
    """Numbers above zero [columns, rows] in floats, as they are given."""

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        """Hold values [columns, rows]."""
        super().__init__()
        self.hold("values", values)

    def product(self, drive: Drive) -> Tensor:
        """Current that is drawn, Σ_j m_ij |x_j| [M, columns]."""
        return functional.linear(drive.numbers.abs(), self.values)

    def power(self, drive: Drive, deviation: float) -> Tensor:
        """Variance of the noise, deviation² Σ_j m_ij x_j² [M, columns]."""
        return functional.linear(drive.numbers.square(), self.values).mul_(deviation**2)


class Floats(Arithmetic):
    """Float arithmetic: inputs and weights are not rounded to a grid; what drives the rows has unit 1."""

    def dac(self, values: Tensor, input_range: float | Tensor, dac: Converter | None) -> tuple[Drive, Drive]:
        """Inputs [M, rows] in parts of the range, on the DAC's levels if there is one."""
        if dac is None:
            asked = Drive(values / input_range, 1.0)
            return asked, asked
        levels = to_levels(values, input_range, dac)
        asked = Drive(levels.to(values.dtype).mul_(dac.step), 1.0)
        if not dac.nonlinearity:
            return asked, asked
        return asked, Drive(bent_levels(levels, dac).to(values.dtype).mul_(dac.step / FINE), 1.0)

    def dac_offset(self, offset: Tensor, dac: Converter) -> Drive:
        """Constant that the DACs add to every input [1, rows], in parts of the range."""
        return Drive((offset * dac.step).unsqueeze(0), 1.0)

    def matrix(self, values: Tensor) -> FloatMatrix:
        """A matrix [columns, rows] of the values themselves, not copied."""
        return FloatMatrix(values)

    def magnitudes(self, values: Tensor) -> FloatMagnitudes:
        """Numbers above zero [columns, rows]: the values themselves, not copied."""
        return FloatMagnitudes(values)

    def constant_power(self, drive: Drive, deviation: float, share: float) -> Tensor:
        """Variance of a noise that is the same on every weight: share · deviation² Σ_j x_j² [M, 1]."""
        return drive.numbers.square().sum(dim=1, keepdim=True).mul_(share).mul_(deviation**2)


FLOATS = Floats()
