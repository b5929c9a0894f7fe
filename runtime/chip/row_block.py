"""The tiles of one row-block of a layer, over the life of a chip: programmed, drifting, read, corrected."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.runtime.chip.compensation import Correction, fitted, from_readings, over_tiles
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.drift import conductances_at
from tilewright.runtime.chip.fixed_precision import FixedPrecision, Held
from tilewright.runtime.chip.kernels import devices as kernel
from tilewright.runtime.chip.kernels.devices import RowBlockDevices
from tilewright.runtime.chip.kernels.read import BlockRead
from tilewright.runtime.chip.noise import Noise, read_name, silent
from tilewright.runtime.chip.own_ranges import multiply_with, read_with_own_ranges
from tilewright.runtime.chip.programming import Cells, Programmer, divisor, normalise, program, scale_of, weight_scale
from tilewright.runtime.chip.source_matrix import SourceMatrix
from tilewright.runtime.chip.tile import ConverterOffsets, TileRow
from tilewright.targets.spec import AnalogTarget, Converter, MostLeast, Programming

COMPARING = ("global", "per_column")
"""Kinds of drift compensation that compare a reading with one right after programming."""


@dataclass(frozen=True)
class TileSettings:
    """Settings that all row-blocks of a layer share."""

    target: AnalogTarget
    method: Programming
    column_splits: list[int]
    clip_deviations: float | None
    compensation: str
    """Kind of drift compensation: none, global, per_column or affine."""
    kept_as: torch.dtype = torch.float32
    """Number format that programmed conductances are kept in."""


class RowBlock(FixedPrecision):
    """All tiles that one part of a layer's inputs drives. Weights are normalised by ``scale`` [columns].

    The matrix [columns, rows] in the model's units is given to each method that needs it, and not kept.
    """

    scale: Tensor
    programmed: Tensor
    """Conductances right after programming [P, columns, rows]."""
    reference: Tensor | None
    """Reading of the compensation right after programming [columns]."""
    tiles: TileRow

    def __init__(self, source: SourceMatrix, settings: TileSettings, draws: Draws, name: tuple[object, ...]) -> None:
        """Write all devices. The first ``advance_to`` takes the reference reading of the compensation, if it has one:
        then it must be to time 0.

        name: of the layer and the row-block; it names the draws.
        """
        super().__init__()
        self.settings, self.draws, self.name = settings, draws, name
        self.hold("scale", self._weight_scale(source))
        self._programmer = Programmer(settings.target, settings.method, settings.column_splits, draws, name)
        self._kept_cells = None
        if (devices := self._compiled_devices(source)) is not None:
            programmed = kernel.program(devices, draws, name)
        else:
            tiles = program(normalise(source.product(), self.scale), self._programmer)
            programmed = tiles.conductances
            if settings.target.stuck_devices is not None or isinstance(settings.method.coding, MostLeast):
                self._kept_cells = Held(tiles.cells)
        self.hold("programmed", programmed.to(settings.kept_as))
        self.hold("reference", None)
        self._offsets = Held(self._draw_offsets())
        self._correction = Held(Correction(torch.ones_like(self.scale)))

    def _weight_scale(self, source: SourceMatrix) -> Tensor:
        """Scale of each column [columns]."""
        settings = self.settings
        splits, rule, clip = settings.column_splits, settings.target.tile.weight_scale, settings.clip_deviations
        if clip is None and (matrix := kernel.readable(source)) is not None:
            return scale_of(kernel.largest_sizes(matrix), None, splits, rule, clip)
        return weight_scale(source.product(), splits, rule, clip)

    @property
    def correction(self) -> Correction:
        """Factor and offset that undo drift at this time."""
        return self._correction.record

    @property
    def offsets(self) -> ConverterOffsets:
        """Constants that this chip's converters add."""
        return self._offsets.record

    def cells(self, source: SourceMatrix) -> Cells:
        """Devices and what was asked of them: derived from the weights where it can be, not stored."""
        if self._kept_cells is not None:
            return self._kept_cells.record
        return self._programmer.cells(normalise(source.product(), self.scale))

    def _draw_offsets(self) -> ConverterOffsets:
        rows, columns = self.programmed.shape[2], self.programmed.shape[1]

        def draw(converter: Converter | None, size: int, which: str) -> Tensor | None:
            if converter is None or not converter.offset:
                return None
            return self.draws.normal((size,), *self.name, f"{which} offset").mul_(float(converter.offset))

        tile = self.settings.target.tile
        return ConverterOffsets(draw(tile.dac, rows, "dac"), draw(tile.adc, columns, "adc"))

    def advance_to(self, seconds: float, source: SourceMatrix, calibration: Tensor | None) -> None:
        """Let the devices drift to ``seconds`` after programming, and correct what is read.

        calibration: inputs of this row-block [vectors, rows], in parts of the input range, for an affine fit. Nothing
        that was held before is written into: a twin may still read it.
        """
        target, compares = self.settings.target, self.settings.compensation in COMPARING
        if (devices := self._compiled_devices(source)) is not None:
            made = kernel.advance(
                devices, self._programmed_in_float32(), target.tile, seconds, self.draws, self.name, reads=compares
            )
            self.tiles, reading = TileRow(made.weights, target, made.magnitudes), made.reading
        else:
            cells = self.cells(source)
            held = self._conductances_at(seconds, cells)
            weights, magnitudes = cells.weights(held), cells.read_magnitudes(held)
            self.tiles = TileRow(weights, target, magnitudes, cells.significance_power, self.offsets)
            reading = self._reading(weights, magnitudes, seconds) if compares else None
        if reading is not None:
            self._correction = Held(self._compare(reading))
        elif self.settings.compensation == "affine" and calibration is not None:
            self._correction = Held(self._fit(source, calibration, seconds))

    def _compiled_devices(self, source: SourceMatrix) -> RowBlockDevices | None:
        """The devices as the compiled library writes and advances them; None if it does not take them."""
        settings, statistics = self.settings, self._programmer.statistics
        if not kernel.takes(settings.target, settings.method, statistics):
            return None
        matrix, states = kernel.readable(source), settings.method.states_per_device
        if matrix is None:
            return None
        return RowBlockDevices(matrix, self.scale, None if states is None else int(states), statistics)

    def _programmed_in_float32(self) -> Tensor:
        return self.programmed.to(torch.promote_types(self.programmed.dtype, torch.float32))

    def _conductances_at(self, seconds: float, cells: Cells) -> Tensor:
        statistics = self._programmer.statistics
        return conductances_at(seconds, self._programmed_in_float32(), cells, statistics, self.draws, *self.name)

    def held_weights(self, seconds: float, source: SourceMatrix) -> Tensor:
        """The weights that devices hold at a time [columns, rows], in the model's units, corrected by the factor."""
        cells = self.cells(source)
        held = cells.weights(self._conductances_at(seconds, cells))
        return held * (self.scale * self.correction.factor).unsqueeze(1)

    def _reading(self, weights: Tensor, magnitudes: Tensor | None, seconds: float) -> Tensor:
        """Σ|y| of each column [columns] over one-hot inputs, each read once with noise and ADC."""
        normal = self.draws.normal(weights.shape, *self.name, "compensation reading", seconds)
        reading = self.tiles.read_one_hot(weights, normal, magnitudes).abs_().sum(dim=1, dtype=torch.float64)
        return reading.mul_(self.scale > 0)  # columns of zeros read nothing but noise, which tells nothing of a drift

    def _compare(self, reading: Tensor) -> Correction:
        """Correction by the reading of each column, or tile, over that right after programming."""
        if self.settings.compensation == "global":
            reading = over_tiles(reading, self.settings.column_splits)
        reading = reading.float()
        if self.reference is None:
            self.reference = reading
        return from_readings(self.reference, reading)

    def _fit(self, source: SourceMatrix, calibration: Tensor, seconds: float) -> Correction:
        """Correction that fits one reading of each calibration input to what should have been read."""
        normal = self.draws.normal((len(calibration), len(self.scale)), *self.name, "calibration reading", seconds)

        def noise(reading: int) -> Tensor | None:
            return normal if reading == 0 else self.draws.normal(normal.shape, *self.name, "again", reading, seconds)

        read = self.read_raw(calibration, 1.0, noise if self.tiles.is_noisy else silent)
        tile = self.settings.target.tile
        driven = calibration  # a clipped input is no error of the tile: the fit must not make up for it
        if tile.dac is not None and tile.doublings is None:
            driven = calibration.clamp(-tile.dac.bound, tile.dac.bound)
        exact = driven @ (source.product() / divisor(self.scale).unsqueeze(1)).T
        return fitted(read, exact, self.settings.column_splits)

    def read_raw(self, values: Tensor, input_range: float, noise: Noise) -> Tensor:
        """Outputs of the ADCs, times the range of each input vector in parts of ``input_range`` [M, columns]."""
        doublings = self.settings.target.tile.doublings
        if doublings is None:
            return self.tiles.multiply(values, input_range, noise(0))
        tile = self.settings.target.tile
        outputs = read_with_own_ranges(multiply_with(self.tiles, noise), values, doublings, tile.adc)
        return outputs.div_(input_range)

    def read(self, values: Tensor, input_range: float, noise: Noise) -> Tensor:
        """The products with ``values`` [M, rows] in the model's units [M, columns]: corrected and scaled."""
        outputs, (factor, shift) = self.read_raw(values, input_range, noise), self.digital(input_range)
        outputs.mul_(factor)
        return outputs if shift is None else outputs.add_(shift)

    def keys_of_readings(self, use: int, seconds: float) -> list[int]:
        """Keys of the noise of the readings of a vector whose range is doubled while an ADC saturates."""
        tile = self.settings.target.tile
        again = tile.doublings if tile.adc is not None else 0
        return [self.draws.key(*read_name(self.name, use, seconds, reading)) for reading in range((again or 0) + 1)]

    def compiled(self, input_range: float, use: int, seconds: float) -> BlockRead:
        """Record of the row-block for a read by the compiled library."""
        key = self.draws.key(*read_name(self.name, use, seconds)) if self.tiles.is_noisy else None
        return BlockRead(self.tiles, *self.digital(input_range), key)

    def digital(self, input_range: float) -> tuple[Tensor, Tensor | None]:
        """Factor of what the ADCs read, and what is added then, both [columns], as digital holds them."""
        scale, correction = self.scale * input_range, self.correction
        shift = None if correction.offset is None else self._rounded(scale * correction.offset)
        return self._rounded(scale * correction.factor), shift

    def _rounded(self, numbers: Tensor) -> Tensor:
        """Numbers in the precision of the digital scale and offset."""
        return numbers.bfloat16().float() if self.settings.target.tile.scale_precision == "bfloat16" else numbers
