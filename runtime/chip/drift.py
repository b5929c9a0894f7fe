"""Drift and 1/f noise of programmed conductances."""

from __future__ import annotations

from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels import laws as kernel
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.runtime.chip.programming.writing import with_stuck
from tilewright.targets.devices import DeviceStatistics
from tilewright.targets.devices.elementary import exponential


def conductances_at(
    seconds: float, programmed: Tensor, cells: Cells, statistics: DeviceStatistics, draws: Draws, *name: object
) -> Tensor:
    """The conductances at a time: drift, then 1/f noise, never below zero (Joshi 2020; Rasch 2023 Eq. 8-10).

    ν depends on the conductance that was asked for and is drawn from its name again at each time: a chip keeps its ν.
    At time 0 it does not matter, and is not drawn. The 1/f noise has one draw a time and is frozen until the next.
    Stuck devices stay.
    """
    if not statistics.drifts and not statistics.accumulates_noise:
        return programmed
    made = kernel.drifted if kernel.takes(statistics, cells.wanted, programmed) else _drifted
    return with_stuck(cells, made(cells.wanted, programmed, statistics, seconds, draws, name))


def _drifted(
    wanted: Tensor,
    programmed: Tensor,
    statistics: DeviceStatistics,
    seconds: float,
    draws: Draws,
    name: tuple[object, ...],
) -> Tensor:
    """Conductances at a time [P, columns, rows], of healthy devices: the law."""
    shape, logarithm, drifted = programmed.shape, statistics.drift_logarithm(seconds), programmed
    if logarithm:
        normal = draws.normal(shape, *name, "drift exponent") if statistics.exponent_varies else None
        drifted = exponential(statistics.drift_exponent(wanted, normal).mul_(-logarithm)).mul_(programmed)
    if statistics.accumulates_noise:
        noise = statistics.accumulated_deviation(programmed, seconds)
        noise.mul_(draws.normal(shape, *name, "accumulated noise", seconds))
        drifted = drifted + drifted * noise  # not addcmul: whether it rounds once or twice depends on the processor
    return drifted.clamp(min=0.0)
