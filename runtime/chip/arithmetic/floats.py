"""Floats: nothing is rounded but where a converter rounds. For tiles without a DAC, and to compare with."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from tilewright.runtime.chip.arithmetic.arithmetic import Arithmetic, Drive, Magnitudes, Matrix
from tilewright.runtime.chip.converters import FINE, bent_levels, to_levels
from tilewright.targets.spec import Converter


class FloatMatrix(Matrix):
    """A matrix as it is."""

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        """values: [columns, rows]."""
        super().__init__()
        self.hold("values", values)

    def product(self, drive: Drive) -> Tensor:
        """Σ_j m_ij x_j."""
        return functional.linear(drive.numbers, self.values)


class FloatMagnitudes(Magnitudes):
    """Numbers above zero as they are."""

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        """values: [columns, rows]."""
        super().__init__()
        self.hold("values", values)

    def product(self, drive: Drive) -> Tensor:
        """Σ_j m_ij |x_j|."""
        return functional.linear(drive.numbers.abs(), self.values)

    def power(self, drive: Drive, deviation: float) -> Tensor:
        """deviation² Σ_j m_ij x_j²."""
        return functional.linear(drive.numbers.square(), self.values).mul_(deviation**2)


class Floats(Arithmetic):
    """Inputs and weights as floats: what drives the rows has unit 1."""

    def dac(self, values: Tensor, input_range: float | Tensor, dac: Converter | None) -> tuple[Drive, Drive]:
        """Values in parts of the range, on the DAC's levels if there is one."""
        if dac is None:
            asked = Drive(values / input_range, 1.0)
            return asked, asked
        levels = to_levels(values, input_range, dac)
        asked = Drive(levels.to(values.dtype).mul_(dac.step), 1.0)
        if not dac.nonlinearity:
            return asked, asked
        return asked, Drive(bent_levels(levels, dac).to(values.dtype).mul_(dac.step / FINE), 1.0)

    def dac_offset(self, offset: Tensor, dac: Converter) -> Drive:
        """Offsets as they were drawn."""
        return Drive((offset * dac.step).unsqueeze(0), 1.0)

    def matrix(self, values: Tensor) -> FloatMatrix:
        """The values themselves, not copied."""
        return FloatMatrix(values)

    def magnitudes(self, values: Tensor) -> FloatMagnitudes:
        """The values themselves, not copied."""
        return FloatMagnitudes(values)

    def constant_power(self, drive: Drive, deviation: float, share: float) -> Tensor:
        """Share · deviation² Σ_j x_j² [M, 1]."""
        return drive.numbers.square().sum(dim=1, keepdim=True).mul_(share).mul_(deviation**2)


FLOATS = Floats()
