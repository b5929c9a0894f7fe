"""Writing a row-block's devices, and letting them drift, in the compiled library: the bits of the laws in torch."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic.exact import GRID, GridMatrix, StepMagnitudes, coarser_for, magnitude_unit
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels.laws import LawsRecord, laws_at, laws_of_write
from tilewright.runtime.chip.kernels.native import address, is_readable, loaded, pointer
from tilewright.runtime.chip.kernels.products import FOUR, MOST_ROWS, PAIR, ROW_STEP, empty_packed, padded
from tilewright.runtime.chip.source_matrix import SourceMatrix
from tilewright.targets.devices import DeviceStatistics
from tilewright.targets.spec import AnalogTarget, Pairs, Programming, Tile
from tilewright.targets.spec.programming import Direct


class _Devices(ctypes.Structure):
    _fields_ = [
        ("laws", LawsRecord),
        *((name, ctypes.c_void_p) for name in ("weights", "channel_scale", "scale")),
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

    matrix: SourceMatrix
    """Matrix in the model's units [columns, rows], float32; a part of a larger one may be given as it lies."""
    scale: Tensor
    """Scale by which they are divided [columns]."""
    states: int | None
    """Conductances of a device; None if any can be asked for."""
    statistics: DeviceStatistics

    def record(self, laws: LawsRecord) -> _Devices:
        """The devices as the library reads them."""
        made = _matrix(self.matrix)
        made.laws, made.scale, made.states = laws, address(self.scale), self.states or 0
        return made


@dataclass(frozen=True)
class Advanced:
    """Matrices that tiles are read with at a time."""

    weights: GridMatrix
    magnitudes: StepMagnitudes | None
    reading: Tensor | None
    """Sum of what was read of each weight alone [columns], float64, for the compensation; None if not asked for."""


def readable(source: SourceMatrix) -> SourceMatrix | None:
    """The matrix as the library reads it, numbers of a column side by side; None where it cannot, or there is none."""
    weight, scale = source.weight, source.channel_scale
    tensors = (weight,) if scale is None else (weight, scale)
    if loaded() is None or weight.shape[1] > MOST_ROWS or not all(map(is_readable, tensors)):
        return None
    weight = weight if weight.stride(1) == 1 else weight.contiguous()  # a model may hold it transposed
    return SourceMatrix(weight, None if scale is None else scale.contiguous())


def largest_sizes(source: SourceMatrix) -> Tensor:
    """Largest size of each column's numbers [columns], float32."""
    native, made = loaded(), torch.empty(len(source.weight))
    assert native is not None
    native.library.tw_largest_sizes(native.set, ctypes.byref(_matrix(source)), pointer(made))
    return made


def _matrix(source: SourceMatrix) -> _Devices:
    """A matrix as the library reads it, without what devices do."""
    weight, (columns, rows) = source.weight, source.weight.shape
    return _Devices(
        weights=address(weight), channel_scale=address(source.channel_scale), stride=weight.stride(0), columns=columns,
        rows=rows,
    )  # fmt: skip


def takes(target: AnalogTarget, method: Programming, statistics: DeviceStatistics) -> bool:
    """True if the library can write and advance such a row-block: one device a weight, written once, read straight."""
    tile, coding = target.tile, method.coding
    one_device = isinstance(coding, Pairs) and len(coding.significances) == 1 and not statistics.writes_zero
    straight = tile.adc is not None and not (tile.adc.nonlinearity or tile.adc.offset)
    straight = straight and tile.dac is not None and not tile.dac.offset
    no_drop = tile.ir_drop is None or not tile.ir_drop.enabled
    written_once = isinstance(method.writing, Direct) and target.stuck_devices is None
    return one_device and straight and no_drop and written_once and statistics.laws is not None


def program(devices: RowBlockDevices, draws: Draws, name: tuple[object, ...]) -> Tensor:
    """Conductances after one write [1, columns, rows], float32."""
    native, (columns, rows) = loaded(), devices.matrix.weight.shape
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
    native, (columns, rows), adc = loaded(), devices.matrix.weight.shape, tile.adc
    assert native is not None and adc is not None
    record = devices.record(laws_at(devices.statistics, seconds, draws, name))
    follows = tile.short_term_read_noise > 0 and tile.read_noise_law == "conductance"
    programmed, largest = programmed.contiguous(), torch.empty(columns)
    weights = empty_packed(columns, rows, PAIR)
    magnitudes = empty_packed(columns, rows, FOUR) if follows else None
    reading = torch.empty(columns, dtype=torch.float64) if reads else None
    coarser = 1.0
    while True:
        call = _Advance(
            programmed=address(programmed), weights=address(weights), largest=address(largest),
            magnitudes=address(magnitudes), reading=address(reading),
            packed_rows=padded(rows, ROW_STEP), steps_per_unit=GRID / coarser,
            follows_weights=tile.read_noise_law == "conductance",
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
