"""Laws of devices as the compiled library reads them, and the devices of any coding: one write, drift and 1/f noise."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels.native import address, is_readable, loaded, pointer
from tilewright.targets.devices import DeviceStatistics

STAYS, VARIES, CUBIC = range(3)
"""Laws of drift, as interface.h has them."""


class LawsRecord(ctypes.Structure):
    """Laws of one kind of device at one time, and the keys of what they draw."""

    _fields_ = [
        ("write", ctypes.c_float * 3),
        ("write_unit", ctypes.c_float),
        ("is_written", ctypes.c_int32),
        ("drift", ctypes.c_int32),
        ("absolute_exponent", ctypes.c_int32),
        ("exponent_mean", ctypes.c_float * 4),
        ("exponent_spread", ctypes.c_float * 4),
        ("drift_logarithm", ctypes.c_float),
        ("accumulates", ctypes.c_int32),
        ("accumulated", ctypes.c_float * 4),
        *((name, ctypes.c_uint64) for name in ("write_key", "exponent_key", "accumulated_key")),
    ]


class _Cells(ctypes.Structure):
    _fields_ = [
        ("laws", LawsRecord),
        ("wanted", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("lines", "rows", "zero_is_silent")),
    ]


def laws_of_write(statistics: DeviceStatistics, draws: Draws, name: tuple[object, ...]) -> LawsRecord:
    """Record of the laws of one write."""
    laws = statistics.laws
    assert laws is not None
    key = draws.key(*name, "programming")
    return LawsRecord(laws.write, laws.write_unit, is_written=not statistics.deterministic, write_key=key)


def laws_at(statistics: DeviceStatistics, seconds: float, draws: Draws, name: tuple[object, ...]) -> LawsRecord:
    """Record of the laws at a time after programming."""
    laws = statistics.laws
    assert laws is not None
    record = LawsRecord(drift_logarithm=statistics.drift_logarithm(seconds), exponent_mean=laws.exponent_mean)
    if record.drift_logarithm and statistics.exponent_varies:
        record.drift, record.exponent_spread = VARIES, laws.exponent_spread
        record.absolute_exponent, record.exponent_key = laws.absolute_exponent, draws.key(*name, "drift exponent")
    elif record.drift_logarithm:
        record.drift = CUBIC
    if statistics.accumulates_noise:
        exponent, coefficient, maximum, scale = laws.accumulated
        record.accumulates, growth = 1, statistics.accumulated_growth(seconds)
        record.accumulated = (exponent, coefficient, maximum, scale * growth)
        record.accumulated_key = draws.key(*name, "accumulated noise", seconds)
    return record


def takes(statistics: DeviceStatistics, *conductances: Tensor) -> bool:
    """True if the library writes and advances such devices: it knows their laws, and can read their conductances."""
    return statistics.laws is not None and all(map(is_readable, conductances)) and loaded() is not None


def written(
    wanted: Tensor, zero_is_silent: bool, statistics: DeviceStatistics, draws: Draws, name: tuple[object, ...]
) -> Tensor:
    """Conductances after one write [P, columns, rows], of those that are asked for.

    zero_is_silent: a device that is asked for zero is not written.
    """
    native, made = loaded(), torch.empty(wanted.shape)
    assert native is not None
    wanted = wanted.contiguous()
    cells = _cells(laws_of_write(statistics, draws, name), wanted)
    cells.zero_is_silent = zero_is_silent
    native.library.tw_write(native.set, ctypes.byref(cells), pointer(made))
    return made


def drifted(
    wanted: Tensor,
    programmed: Tensor,
    statistics: DeviceStatistics,
    seconds: float,
    draws: Draws,
    name: tuple[object, ...],
) -> Tensor:
    """Conductances at a time [P, columns, rows], from those that were asked for and those after programming."""
    native, made = loaded(), torch.empty(programmed.shape)
    assert native is not None
    wanted, programmed = wanted.contiguous(), programmed.contiguous()
    cells = _cells(laws_at(statistics, seconds, draws, name), wanted)
    native.library.tw_drift(native.set, ctypes.byref(cells), pointer(programmed), pointer(made))
    return made


def _cells(laws: LawsRecord, wanted: Tensor) -> _Cells:
    devices, columns, rows = wanted.shape
    return _Cells(laws, address(wanted), lines=devices * columns, rows=rows)
