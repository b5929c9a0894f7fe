"""Writing a row-block's devices, and letting them drift, in the compiled library: the bits of the laws in torch."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic.exact import GRID, GridMatrix, StepMagnitudes, coarser_for, magnitude_unit
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels.native import address, loaded, pointer
from tilewright.runtime.chip.kernels.products import COLUMN_STEP, FOUR, MOST_ROWS, PAIR, PANEL, ROW_STEP, padded
from tilewright.targets.devices import DeviceStatistics
from tilewright.targets.spec import AnalogTarget, Pairs, Programming, Tile
from tilewright.targets.spec.programming import Direct

STAYS, VARIES, CUBIC = range(3)
"""Laws of drift, as interface.h has them."""


class _Devices(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weights", "scale")),
        ("stride", ctypes.c_uint64),
        *((name, ctypes.c_int32) for name in ("columns", "rows", "states", "is_written")),
        ("write", ctypes.c_float * 3),
        ("write_unit", ctypes.c_float),
        ("drift", ctypes.c_int32),
        ("absolute_exponent", ctypes.c_int32),
        ("exponent_mean", ctypes.c_float * 4),
        ("exponent_spread", ctypes.c_float * 4),
        ("drift_logarithm", ctypes.c_float),
        ("accumulates", ctypes.c_int32),
        ("accumulated", ctypes.c_float * 4),
        *((name, ctypes.c_uint64) for name in ("write_key", "exponent_key", "accumulated_key")),
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

    def record(self, **keys: int) -> _Devices:
        """The devices as the library reads them; keys: those of its draws."""
        columns, rows = self.weights.shape
        laws = self.statistics.laws
        return _Devices(
            weights=address(self.weights), scale=address(self.scale), stride=self.weights.stride(0),
            columns=columns, rows=rows, states=self.states or 0, is_written=not self.statistics.deterministic,
            write=laws.write, write_unit=laws.write_unit, absolute_exponent=laws.absolute_exponent,
            exponent_mean=laws.exponent_mean, exponent_spread=laws.exponent_spread, **keys,
        )  # fmt: skip


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
    return one_device and straight and no_drop and written_once and rows <= MOST_ROWS and loaded() is not None


def program(devices: RowBlockDevices, draws: Draws, name: tuple[object, ...]) -> Tensor:
    """Conductances after one write [1, columns, rows], float32."""
    native, (columns, rows) = loaded(), devices.weights.shape
    assert native is not None
    made = torch.empty(1, columns, rows)
    record = devices.record(write_key=draws.key(*name, "programming"))
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
    keys = {"exponent_key": ("drift exponent",), "accumulated_key": ("accumulated noise", seconds)}
    record = devices.record(**{key: draws.key(*name, *words) for key, words in keys.items()})
    statistics = devices.statistics
    record.drift_logarithm = statistics.drift_logarithm(seconds)
    if record.drift_logarithm:
        record.drift = VARIES if statistics.exponent_varies else CUBIC
    if statistics.accumulates_noise:
        exponent, coefficient, maximum, scale = statistics.laws.accumulated
        record.accumulates, growth = 1, statistics.accumulated_growth(seconds)
        record.accumulated = (exponent, coefficient, maximum, scale * growth)
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
        if native.library.tw_advance(native.set, ctypes.byref(record), ctypes.byref(call), 0, columns):
            raise MemoryError("no memory to advance a layer")
        needed = coarser_for(float(largest.max()))
        if needed == coarser:
            break
        coarser = needed  # rare: a write far beyond the largest conductance
    made, sizes = GridMatrix(weights, (columns, rows), coarser / GRID, packed=True), None
    if magnitudes is not None:
        sizes = StepMagnitudes(magnitudes, (columns, rows), magnitude_unit(coarser), packed=True)
    return Advanced(made, sizes, reading)
