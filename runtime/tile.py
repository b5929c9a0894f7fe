"""The matrix-vector product of the tiles that share a row-block: the hot loop.

All column tiles of a row-block see the same input, so one product serves them all. The order is that of the hardware:
DAC, analog sum, IR drop, read noise, output noise, ADC (Rasch 2023, Methods).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.converters import read_out, to_levels
from tilewright.runtime.integer_product import integer_product
from tilewright.targets.spec import Target

HIGH, LOW = 64, 128
"""Weights are held as high/64 + low/(64 · 128) with both parts in int8: a grid of 2^-13, up to ±1.98."""

SQUARE_DIGIT = 128
"""x² of an 8-bit input is split into two digits of this base, each an int8."""


class GridMatrix:
    """A real matrix on the grid of 2^-13, as two int8 matrices: its products with integers are exact.

    The rounding is at most 2^-14, 170 times below the smallest programming noise of PCM (0.0105).
    """

    def __init__(self, matrix: Tensor) -> None:
        """matrix: [columns, rows], entries within ±1.98 (larger ones are clipped)."""
        high = (matrix * HIGH).round_().clamp_(-127, 127)
        low = (matrix * (HIGH * LOW)).sub_(high, alpha=LOW).round_().clamp_(-128, 127)
        self.high, self.low = high.to(torch.int8), low.to(torch.int8)

    def multiply(self, levels: Tensor, unit: float) -> Tensor:
        """``levels @ matrix.T · unit`` as float32. levels: [M, rows] whole numbers."""
        product = integer_product(levels, self.high).to(torch.float32).mul_(LOW)
        return product.add_(integer_product(levels, self.low)).mul_(unit / (HIGH * LOW))


class TileRow:
    """All tiles of one row-block of a layer at one time. Weights and results are normalised (column scale 1)."""

    def __init__(self, weights: Tensor, target: Target) -> None:
        """weights: [columns, rows] at this time, of tiles of this target."""
        self.tile = tile = target.tile
        self.output_variance = tile.output_noise_deviation**2
        drop = tile.ir_drop if tile.ir_drop and tile.ir_drop.enabled else None
        self.wire_ratio = drop.wire_resistance * target.device.conductance_max * 1e-6 if drop else 0.0
        if tile.dac is None:
            self.exact_weights: Tensor | None = weights
            return
        self.exact_weights = None
        self.weights = GridMatrix(weights)
        if drop or tile.short_term_read_noise:
            self.magnitudes = rounded_magnitudes(weights)
        if drop:
            self.weighted_by_place = GridMatrix(weights * _share_of_wire(weights.shape[1]))

    def multiply(self, values: Tensor, input_range: float, normal: Tensor | None) -> Tensor:
        """ADC outputs [M, columns] in normalised units for inputs [M, rows].

        normal: standard normal numbers [M, columns], the merged draw of short-term read noise and output noise (a sum
        of two independent normals is one with the sum of their variances); None where the tile has neither.
        """
        tile = self.tile
        if tile.dac is None:
            return self._multiply_without_dac(values / input_range, normal)
        levels = to_levels(values, input_range, tile.dac)
        currents = self.weights.multiply(levels, tile.dac.step)
        if self.wire_ratio:
            total = integer_product(levels.abs(), self.magnitudes).to(torch.float32).mul_(tile.dac.step / HIGH)
            by_place = self.weighted_by_place.multiply(levels, tile.dac.step)
            currents.sub_(ir_drop(total, by_place, self.wire_ratio * values.shape[1]))
        if normal is not None:
            currents.addcmul_(normal, self._variance(levels, tile.dac.step).sqrt_())
        return read_out(currents, tile.adc)

    def _variance(self, levels: Tensor, step: float) -> Tensor:
        """σ0² Σ_j |w_ij| x_j² + σ_out² (Rasch 2023 Eq. 11 and the output noise)."""
        unit = (self.tile.short_term_read_noise * step) ** 2 / HIGH
        if not unit:
            return torch.tensor(self.output_variance)
        squares = levels.to(torch.int32).square_()
        if levels.dtype == torch.int8:
            digits = squares // SQUARE_DIGIT
            rest = squares.sub_(digits, alpha=SQUARE_DIGIT)
            variance = integer_product(digits.to(torch.int8), self.magnitudes).to(torch.float32).mul_(SQUARE_DIGIT)
            variance.add_(integer_product(rest.to(torch.int8), self.magnitudes))
        else:
            variance = integer_product(squares, self.magnitudes).to(torch.float32)
        return variance.mul_(unit).add_(self.output_variance)

    def _multiply_without_dac(self, values: Tensor, normal: Tensor | None) -> Tensor:
        assert self.exact_weights is not None
        weights = self.exact_weights
        currents = functional.linear(values, weights)
        if self.wire_ratio:
            total = functional.linear(values.abs(), weights.abs())
            by_place = functional.linear(values, weights * _share_of_wire(weights.shape[1]))
            currents.sub_(ir_drop(total, by_place, self.wire_ratio * values.shape[1]))
        if normal is not None:
            variance = functional.linear(values.square(), weights.abs()).mul_(self.tile.short_term_read_noise**2)
            currents.addcmul_(normal, variance.add_(self.output_variance).sqrt_())
        return read_out(currents, self.tile.adc)

    def read_one_hot(self, weights: Tensor, normal: Tensor) -> Tensor:
        """ADC outputs [columns, rows]: entry (i, j) is column i read with input 1 on row j alone, noise included."""
        rows = weights.shape[1]
        currents = weights.clone()
        if self.wire_ratio:
            currents.sub_(ir_drop(weights.abs(), weights * _share_of_wire(rows), self.wire_ratio * rows))
        variance = weights.abs().mul_(self.tile.short_term_read_noise**2).add_(self.output_variance)
        return read_out(currents.addcmul_(normal, variance.sqrt_()), self.tile.adc)

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


def rounded_magnitudes(weights: Tensor) -> Tensor:
    """|w| in int8 steps of 1/64, rounded so that sums along a column keep their value.

    What rounding takes from one weight it gives to the next (the running sum is rounded, not the weight), so a column
    of many small weights does not lose its read noise.
    """
    running = weights.abs().clamp_(max=126 / HIGH).mul_(HIGH).cumsum(dim=1, dtype=torch.float64).round_()
    return running.diff(dim=1, prepend=torch.zeros(running.shape[0], 1, dtype=running.dtype)).to(torch.int8)
