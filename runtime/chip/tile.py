"""The matrix-vector product of the tiles that share a row-block: the hot loop.

All column tiles of a row-block see the same input, so one product serves them all. The order is that of the hardware:
DAC, analog sum, IR drop, read noise, output noise, ADC (Rasch 2023, Methods).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.chip.converters import FINE, bent_levels, read_out, to_levels
from tilewright.runtime.chip.integer_product import integer_product, two_digit_product
from tilewright.targets.spec import AnalogTarget, Tile

HIGH, LOW = 64, 128
"""Weights are held as high/64 + low/(64 · 128) with both parts in int8: a grid of 2^-13, up to ±1.98."""

LARGEST = 127 / HIGH
"""The largest weight on the grid; where a larger one appears the grid is made coarser by a power of two."""

DIGIT_BITS = 7
"""x² of an 8-bit input is split into two digits of so many bits, each an int8."""


class GridMatrix:
    """A real matrix on the grid of 2^-13, as two int8 matrices: its products with integers are exact.

    The rounding is at most 2^-14, 170 times below the smallest programming noise of PCM (0.0105).
    """

    def __init__(self, matrix: Tensor) -> None:
        """matrix: [columns, rows]."""
        largest = float(matrix.abs().max()) if matrix.numel() else 0.0
        self.coarser = 2.0 ** max(0, math.ceil(math.log2(largest / LARGEST))) if largest > LARGEST else 1.0
        high = (matrix * (HIGH / self.coarser)).round_().clamp_(-127, 127)
        low = (matrix * (HIGH * LOW / self.coarser)).sub_(high, alpha=LOW).round_().clamp_(-128, 127)
        self.high, self.low = high.to(torch.int8), low.to(torch.int8)

    def multiply(self, levels: Tensor, unit: float) -> Tensor:
        """``levels @ matrix.T · unit`` as float32. levels: [M, rows] whole numbers."""
        product = two_digit_product((levels, self.high), (levels, self.low), LOW)
        return product.mul_(unit * self.coarser / (HIGH * LOW))


class Magnitudes:
    """Numbers above zero in int8 steps of 1/64, rounded so that sums along a column keep their value.

    What rounding takes from one it gives to the next (the running sum is rounded, not the number), so a column of many
    small weights does not lose its read noise.
    """

    def __init__(self, values: Tensor) -> None:
        """values: [columns, rows], above zero."""
        largest = float(values.max()) if values.numel() else 0.0
        self.unit = max(1.0, largest * HIGH / 126) / HIGH
        running = (values / self.unit).cumsum(dim=1, dtype=torch.float64).round_()
        first = torch.zeros(running.shape[0], 1, dtype=running.dtype)
        self.steps = running.diff(dim=1, prepend=first).to(torch.int8)


@dataclass(frozen=True)
class ConverterOffsets:
    """What the converters of one row-block add, drawn once a chip: dac [rows], adc [columns], in their LSB."""

    dac: Tensor | None = None
    adc: Tensor | None = None


class TileRow:
    """All tiles of one row-block of a layer at one time. Weights and results are normalised (column scale 1)."""

    def __init__(
        self,
        weights: Tensor,
        target: AnalogTarget,
        read_magnitudes: Tensor | None = None,
        significance_power: float = 1.0,
        offsets: ConverterOffsets | None = None,
    ) -> None:
        """weights: [columns, rows] at this time, of tiles of this target.

        read_magnitudes: what the variance of the read noise is made of where it is not |weights|. significance_power:
        the same for noise that does not depend on the conductance.
        """
        self.tile: Tile = target.tile
        tile = target.tile
        self.output_variance = tile.output_noise_deviation**2
        self.significance_power = significance_power
        self.offsets = offsets or ConverterOffsets()
        drop = tile.ir_drop if tile.ir_drop and tile.ir_drop.enabled else None
        self.wire_ratio = drop.wire_resistance * target.device.conductance_max * 1e-6 if drop else 0.0
        self.noise_follows_weights = tile.short_term_read_noise > 0 and tile.read_noise_law == "conductance"
        if tile.dac is None:
            self.exact_weights: Tensor | None = weights
            self.exact_read_magnitudes = read_magnitudes if read_magnitudes is not None else weights.abs()
            return
        self.exact_weights = None
        self.weights = GridMatrix(weights)
        if self.noise_follows_weights:
            self.magnitudes = Magnitudes(weights.abs() if read_magnitudes is None else read_magnitudes)
        if drop:
            self.drawing = Magnitudes(weights.abs())
            self.weighted_by_place = GridMatrix(weights * _share_of_wire(weights.shape[1]))
        self.offset_currents = self._offset_currents(weights.shape[1])

    def _offset_currents(self, rows: int) -> Tensor | None:
        """What the offsets of the DACs add to every sum [1, columns]."""
        if self.offsets.dac is None or self.tile.dac is None:
            return None
        levels = (self.offsets.dac * FINE).round().to(torch.int32).view(1, rows)
        return self.weights.multiply(levels, self.tile.dac.step / FINE)

    def multiply(self, values: Tensor, input_range: float | Tensor, normal: Tensor | None) -> Tensor:
        """ADC outputs [M, columns] in normalised units for inputs [M, rows].

        input_range: a number, or one a vector [M, 1]. normal: standard normal numbers [M, columns], the merged draw of
        short-term read noise and output noise (a sum of two independent normals is one with the sum of their
        variances); None where the tile has neither.
        """
        tile = self.tile
        if tile.dac is None:
            return self._multiply_without_dac(values / input_range, normal)
        levels = to_levels(values, input_range, tile.dac)
        driven, step = levels, tile.dac.step
        if tile.dac.nonlinearity:
            driven, step = bent_levels(levels, tile.dac), step / FINE
        currents = self.weights.multiply(driven, step)
        if self.offset_currents is not None:
            currents.add_(self.offset_currents)
        if self.wire_ratio:
            drawn = integer_product(levels.abs(), self.drawing.steps).to(torch.float32)
            total = drawn.mul_(tile.dac.step * self.drawing.unit)
            by_place = self.weighted_by_place.multiply(levels, tile.dac.step)
            currents.sub_(ir_drop(total, by_place, self.wire_ratio * values.shape[1]))
        if normal is not None:
            currents.addcmul_(normal, self._variance(levels, tile.dac.step).sqrt_())
        return read_out(currents, tile.adc, self.offsets.adc)

    def _variance(self, levels: Tensor, step: float) -> Tensor:
        """σ0² Σ_j |w_ij| x_j² + σ_out² (Rasch 2023 Eq. 11 and the output noise), or σ0² Σ_j x_j² + σ_out² (FTJ)."""
        power = (self.tile.short_term_read_noise * step) ** 2
        if not power:
            return torch.tensor(self.output_variance)
        wide = levels.to(torch.int16 if levels.dtype == torch.int8 else torch.int32)
        squares = wide * wide  # as whole numbers: square() goes through a power
        if not self.noise_follows_weights:
            energy = squares.to(torch.float64).sum(dim=1, keepdim=True).to(torch.float32)
            return energy.mul_(power * self.significance_power).add_(self.output_variance)
        magnitudes = self.magnitudes.steps
        if levels.dtype == torch.int8:
            digits, rest = squares >> DIGIT_BITS, squares & (2**DIGIT_BITS - 1)
            high, low = digits.to(torch.int8), rest.to(torch.int8)
            variance = two_digit_product((high, magnitudes), (low, magnitudes), 2**DIGIT_BITS)
        else:
            variance = integer_product(squares, magnitudes).to(torch.float32)
        return variance.mul_(power * self.magnitudes.unit).add_(self.output_variance)

    def _multiply_without_dac(self, values: Tensor, normal: Tensor | None) -> Tensor:
        assert self.exact_weights is not None
        weights = self.exact_weights
        currents = functional.linear(values, weights)
        if self.wire_ratio:
            total = functional.linear(values.abs(), weights.abs())
            by_place = functional.linear(values, weights * _share_of_wire(weights.shape[1]))
            currents.sub_(ir_drop(total, by_place, self.wire_ratio * values.shape[1]))
        if normal is not None:
            squares = values.square()
            if self.noise_follows_weights:
                variance = functional.linear(squares, self.exact_read_magnitudes)
            else:
                variance = squares.sum(dim=1, keepdim=True).mul_(self.significance_power)
            variance = variance.mul_(self.tile.short_term_read_noise**2).add_(self.output_variance)
            currents.addcmul_(normal, variance.sqrt_())
        return read_out(currents, self.tile.adc, self.offsets.adc)

    def read_one_hot(self, weights: Tensor, normal: Tensor, read_magnitudes: Tensor | None = None) -> Tensor:
        """ADC outputs [columns, rows]: entry (i, j) is column i read with input 1 on row j alone, noise included."""
        rows = weights.shape[1]
        currents = weights.clone()
        if self.tile.dac is not None and self.offset_currents is not None:
            currents.add_(self.offset_currents.T)
        if self.wire_ratio:
            currents.sub_(ir_drop(weights.abs(), weights * _share_of_wire(rows), self.wire_ratio * rows))
        noise = self.tile.short_term_read_noise**2
        if self.noise_follows_weights:
            variance = (weights.abs() if read_magnitudes is None else read_magnitudes.clone()).mul_(noise)
        else:
            variance = torch.full_like(weights, noise * self.significance_power)
        currents.addcmul_(normal, variance.add_(self.output_variance).sqrt_())
        offset = self.offsets.adc.unsqueeze(1) if self.offsets.adc is not None else None
        return read_out(currents, self.tile.adc, offset)

    @property
    def is_noisy(self) -> bool:
        """Whether a read needs random numbers."""
        return self.tile.short_term_read_noise > 0 or self.output_variance > 0


def ir_drop(total: Tensor, by_place: Tensor, ratio: float) -> Tensor:
    """What the wires' resistance takes from the sum (Rasch 2023 Eq. 16-18).

    total: Σ|w||x|; by_place: Σ w x (1 - (1 - j/n)²), j counted from 0; ratio: n · R_wire · g_max.
    a = ratio · total, c = 0.05a³ - 0.2a² + 0.5a, and the sum loses c · by_place.
    """
    a = total * ratio
    return ((0.05 * a - 0.2) * a + 0.5) * a * by_place


def _share_of_wire(rows: int) -> Tensor:
    place = torch.arange(rows, dtype=torch.float32) / rows
    return 1 - (1 - place) ** 2
