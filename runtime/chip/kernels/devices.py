"""Writing a row-block's devices, and letting them drift, in the compiled library: the bits of the laws in torch."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic.exact import GRID, GridMatrix, StepMagnitudes, coarser_for, magnitude_unit
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels.laws import LawsRecord, laws_at, laws_of_write
from tilewright.runtime.chip.kernels.native import address, loaded, pointer
from tilewright.runtime.chip.kernels.products import COLUMN_STEP, FOUR, MOST_ROWS, PAIR, PANEL, ROW_STEP, padded
from tilewright.targets.devices import DeviceStatistics
from tilewright.targets.spec import AnalogTarget, Pairs, Programming, Tile
from tilewright.targets.spec.programming import Direct


class _Devices(ctypes.Structure):
    _fields_ = [
        ("laws", LawsRecord),
        *((name, ctypes.c_void_p) for name in ("weights", "scale")),
        ("stride", ctypes.c_uint64),
        *((name, ctypes.c_int32) for name in ("columns", "rows", "states")),
    ]


class _Advance(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("programmed", "weights", "magnitudes", "reading", "largest")),
        ("packed_rows", ctypes.c_int32),
        ("steps_per_unit", ctypes.c_float),
        ("follows_weights", ctypes.c_int32),
        ("power", ctypes.c_float),
        ("output_variance", ctypes.c_float),
        ("adc_levels", ctypes.c_int32),
        ("adc_step", ctypes.c_float),
        ("adc_steps_per_unit", ctypes.c_float),
        ("reading_key", ctypes.c_uint64),
    ]


@dataclass(frozen=True)
class RowBlockDevices:
    """Devices of one row-block: the weights that they are to hold, how they are written, and their laws."""

    weights: Tensor
    """Weights in the model's units [columns, rows], float32; a part of a larger matrix may be given as it lies."""
    scale: Tensor
    """Scale by which they are divided [columns]."""
    states: int | None
    """Conductances of a device; None if any can be asked for."""
    statistics: DeviceStatistics

    def record(self, laws: LawsRecord) -> _Devices:
        """The devices as the library reads them."""
        columns, rows = self.weights.shape
        return _Devices(
            laws, address(self.weights), address(self.scale), self.weights.stride(0), columns, rows, self.states or 0
        )


@dataclass(frozen=True)
class Advanced:
    """Matrices that tiles are read with at a time."""

    weights: GridMatrix
    magnitudes: StepMagnitudes | None
    reading: Tensor | None
    """Sum of what was read of each weight alone [columns], float64, for the compensation; None if not asked for."""


def takes(target: AnalogTarget, method: Programming, statistics: DeviceStatistics, rows: int) -> bool:
    """True if the library writes and advances such a row-block: one device a weight, written once, read straight."""
    tile, coding = target.tile, method.coding
    one_device = isinstance(coding, Pairs) and len(coding.significances) == 1 and not statistics.writes_zero
    straight = tile.adc is not None and not (tile.adc.nonlinearity or tile.adc.offset)
    straight = straight and tile.dac is not None and not tile.dac.offset
    no_drop = tile.ir_drop is None or not tile.ir_drop.enabled
    written_once = isinstance(method.writing, Direct) and target.stuck_devices is None
    is_known = rows <= MOST_ROWS and statistics.laws is not None and loaded() is not None
    return one_device and straight and no_drop and written_once and is_known


def program(devices: RowBlockDevices, draws: Draws, name: tuple[object, ...]) -> Tensor:
    """Conductances after one write [1, columns, rows], float32."""
    native, (columns, rows) = loaded(), devices.weights.shape
    assert native is not None
    made = torch.empty(1, columns, rows)
    record = devices.record(laws_of_write(devices.statistics, draws, name))
    native.library.tw_program(native.set, ctypes.byref(record), 0, columns, pointer(made))
    return made


def advance(
    devices: RowBlockDevices,
    programmed: Tensor,
    tile: Tile,
    seconds: float,
    draws: Draws,
    name: tuple[object, ...],
    *,
    reads: bool,
) -> Advanced:
    """Matrices to read these devices with at a time, and with ``reads`` the reading of the compensation.

    programmed: conductances after the write [1, columns, rows], float32.
    """
    native, (columns, rows), adc = loaded(), devices.weights.shape, tile.adc
    assert native is not None and adc is not None
    record = devices.record(laws_at(devices.statistics, seconds, draws, name))
    follows = tile.short_term_read_noise > 0 and tile.read_noise_law == "conductance"
    shape = (padded(columns, COLUMN_STEP) // PANEL, padded(rows, ROW_STEP))
    programmed, largest = programmed.contiguous(), torch.empty(columns)
    weights = torch.zeros(shape[0], shape[1] // PAIR, PANEL, PAIR, dtype=torch.int16)
    magnitudes = torch.zeros(shape[0], shape[1] // FOUR, PANEL, FOUR, dtype=torch.int8) if follows else None
    reading = torch.empty(columns, dtype=torch.float64) if reads else None
    coarser = 1.0
    while True:
        call = _Advance(
            programmed=address(programmed), weights=address(weights), largest=address(largest),
            magnitudes=address(magnitudes), reading=address(reading),
            packed_rows=shape[1], steps_per_unit=GRID / coarser, follows_weights=tile.read_noise_law == "conductance",
            power=tile.short_term_read_noise**2, output_variance=tile.output_noise_deviation**2,
            adc_levels=adc.levels, adc_step=adc.step, adc_steps_per_unit=1.0 / adc.step,
            reading_key=draws.key(*name, "compensation reading", seconds),
        )  # fmt: skip
        native.library.tw_advance(native.set, ctypes.byref(record), ctypes.byref(call), 0, columns)
        needed = coarser_for(float(largest.max()))
        if needed == coarser:
            break
        coarser = needed  # rare: a write far beyond the largest conductance
    made, sizes = GridMatrix(weights, (columns, rows), coarser / GRID, packed=True), None
    if magnitudes is not None:
        sizes = StepMagnitudes(magnitudes, (columns, rows), magnitude_unit(coarser), packed=True)
    return Advanced(made, sizes, reading)
