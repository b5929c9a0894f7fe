"""The matrix-vector product of the tiles that share a row-block: the law of a read, written once.

All column tiles of a row-block see the same input, so one product serves them all. The order is that of the hardware:
DAC, analog sum, IR drop, read noise, output noise, ADC (Rasch 2023, Methods). How the numbers are held and multiplied
is the arithmetic's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic import Arithmetic, Drive, Magnitudes, Matrix, arithmetic_of
from tilewright.runtime.chip.fixed_precision import FixedPrecision
from tilewright.targets.devices.elementary import square_root
from tilewright.targets.spec import AnalogTarget, Tile


@dataclass(frozen=True)
class ConverterOffsets:
    """Constants that the converters of a row-block add, drawn once a chip: dac [rows], adc [columns], in their LSB."""

    dac: Tensor | None = None
    adc: Tensor | None = None


class TileRow(FixedPrecision):
    """All tiles of one row-block of a layer at one time. Weights and results are normalised (column scale 1)."""

    weights: Matrix
    magnitudes: Magnitudes | None
    """Weights of the variance of the read noise, where it follows the conductances."""
    drawing: Magnitudes | None
    by_place: Matrix | None
    """Weights times their share of the wire [columns, rows], for the IR drop; None without one."""
    dac_offset_currents: Tensor | None
    """Part of every sum that comes of the offsets of the DACs [1, columns]."""
    adc_offset: Tensor | None

    def __init__(
        self,
        weights: Tensor | Matrix,
        target: AnalogTarget,
        read_magnitudes: Tensor | Magnitudes | None = None,
        significance_power: float = 1.0,
        offsets: ConverterOffsets | None = None,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        """Hold the weights [columns, rows] of tiles of this target, as they are at this time.

        weights, read_magnitudes: tensors, or what the arithmetic holds of them; the latter are what the variance of the
        read noise is made of where it is not |weights|. significance_power: the same for noise that does not depend on
        the conductance. arithmetic: the tile's usual one if None.
        """
        super().__init__()
        tile: Tile = target.tile
        self.tile, self.arithmetic = tile, arithmetic or arithmetic_of(tile)
        self.output_variance, self.significance_power = tile.output_noise_deviation**2, significance_power
        drop = tile.ir_drop if tile.ir_drop and tile.ir_drop.enabled else None
        self.wire_ratio = drop.wire_resistance * target.device.conductance_max * 1e-6 if drop else 0.0
        self.noise_follows_weights = tile.short_term_read_noise > 0 and tile.read_noise_law == "conductance"
        self.magnitudes = self.drawing = self.by_place = None
        if isinstance(weights, Matrix):
            assert not self.wire_ratio and not isinstance(read_magnitudes, Tensor)
            self.weights, self.magnitudes = weights, read_magnitudes
        else:
            self._hold(weights, read_magnitudes)
        offsets, currents = offsets or ConverterOffsets(), None
        if offsets.dac is not None and tile.dac is not None:
            currents = self.weights.product(self.arithmetic.dac_offset(offsets.dac, tile.dac))
        self.hold("dac_offset_currents", currents)
        self.hold("adc_offset", offsets.adc)

    def _hold(self, weights: Tensor, read_magnitudes: Tensor | Magnitudes | None) -> None:
        """Hold the weights, and what else a read needs of them, as the arithmetic has them."""
        self.weights = self.arithmetic.matrix(weights)
        if self.noise_follows_weights:
            sizes = weights.abs() if read_magnitudes is None else read_magnitudes
            self.magnitudes = self.arithmetic.magnitudes(sizes) if isinstance(sizes, Tensor) else sizes
        if self.wire_ratio:
            self.drawing = self.arithmetic.magnitudes(weights.abs())
            self.by_place = self.arithmetic.matrix(weights * _share_of_wire(weights))

    def multiply(self, values: Tensor, input_range: float | Tensor, normal: Tensor | None) -> Tensor:
        """ADC outputs [M, columns] in normalised units for inputs [M, rows].

        input_range: a number, or one a vector [M, 1]. normal: standard normal numbers [M, columns], the merged draw of
        short-term read noise and output noise (a sum of two independent normals is one with the sum of their
        variances); None where the tile has neither.
        """
        asked, driven = self.arithmetic.dac(values, input_range, self.tile.dac)
        currents = self.weights.product(driven)
        if self.dac_offset_currents is not None:
            currents.add_(self.dac_offset_currents)
        if self.drawing is not None and self.by_place is not None:
            total = self.drawing.product(asked)
            currents.sub_(ir_drop(total, self.by_place.product(asked), self.wire_ratio * values.shape[1]))
        variance = self._variance(asked) if normal is not None else None
        return self._read(currents, variance, normal, self.adc_offset)

    def _variance(self, asked: Drive) -> Tensor:
        """Variance of the short-term read noise, σ0² Σ_j |w_ij| x_j² (Rasch 2023 Eq. 11), or σ0² Σ_j x_j² (FTJ)."""
        deviation = self.tile.short_term_read_noise
        if not deviation:
            return asked.numbers.new_zeros((), dtype=torch.float32)
        if self.magnitudes is not None:
            return self.magnitudes.power(asked, deviation)
        return self.arithmetic.constant_power(asked, deviation, self.significance_power)

    def read_one_hot(self, weights: Tensor, normal: Tensor, read_magnitudes: Tensor | None = None) -> Tensor:
        """ADC outputs [columns, rows]: entry (i, j) is column i read with input 1 on row j alone, noise included.

        Each sum has one term, so the law is applied to the weights themselves.
        """
        currents = weights.clone()
        if self.dac_offset_currents is not None:
            currents.add_(self.dac_offset_currents.T)
        if self.wire_ratio:
            rows = weights.shape[1]
            currents.sub_(ir_drop(weights.abs(), weights * _share_of_wire(weights), self.wire_ratio * rows))
        noise, offset = self.tile.short_term_read_noise**2, self.adc_offset
        if self.noise_follows_weights:
            variance = (weights.abs() if read_magnitudes is None else read_magnitudes.clone()).mul_(noise)
        else:
            variance = torch.full_like(weights, noise * self.significance_power)
        return self._read(currents, variance, normal, None if offset is None else offset.unsqueeze(1))

    def _read(self, currents: Tensor, variance: Tensor | None, normal: Tensor | None, offset: Tensor | None) -> Tensor:
        """Sums as they come out of noise and ADC, in place. variance: of the short-term read noise."""
        if normal is not None and variance is not None:
            # not addcmul: whether it rounds once or twice depends on the processor
            currents.add_(square_root(variance.add_(self.output_variance)).mul(normal))
        return self.arithmetic.adc(currents, self.tile.adc, offset)

    def steps_per_unit(self, input_range: float) -> float:
        """Steps of the DAC in a unit of the input."""
        assert self.tile.dac is not None
        return 1.0 / (input_range * self.tile.dac.step)

    @property
    def is_noisy(self) -> bool:
        """True if a read needs random numbers."""
        return self.tile.short_term_read_noise > 0 or self.output_variance > 0


def ir_drop(total: Tensor, by_place: Tensor, ratio: float) -> Tensor:
    """IR drop: the part of the sum that is lost to the wires' resistance (Rasch 2023 Eq. 16-18).

    total: Σ|w||x|; by_place: Σ w x (1 - (1 - j/n)²), j counted from 0; ratio: n · R_wire · g_max.
    a = ratio · total, c = 0.05a³ - 0.2a² + 0.5a, and the sum loses c · by_place.
    """
    a = total * ratio
    return ((0.05 * a - 0.2) * a + 0.5) * a * by_place


def _share_of_wire(weights: Tensor) -> Tensor:
    """Share of the wire's resistance at each row j [rows], 1 - (1 - j/n)²."""
    rows = weights.shape[1]
    place = torch.arange(rows, dtype=torch.float32, device=weights.device) / rows
    return 1 - (1 - place) ** 2
