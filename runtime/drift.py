"""What time does to programmed conductances."""

from __future__ import annotations

from torch import Tensor

from tilewright.runtime.draws import Draws
from tilewright.runtime.programming.cells import Cells
from tilewright.runtime.programming.writing import with_stuck
from tilewright.targets.devices import DeviceStatistics


def conductances_at(
    seconds: float, programmed: Tensor, cells: Cells, statistics: DeviceStatistics, draws: Draws, *name: object
) -> Tensor:
    """The conductances at a time: drift, then 1/f noise, never below zero (Joshi 2020; Rasch 2023 Eq. 8-10).

    ν depends on the conductance that was asked for and is drawn from its name again at each time: a chip keeps its ν.
    The 1/f noise has one draw a time and is frozen until the next. Stuck devices stay.
    """
    if not statistics.drifts and not statistics.accumulates_noise:
        return programmed
    shape = programmed.shape
    normal = draws.normal(shape, *name, "drift exponent") if statistics.exponent_varies else None
    drifted = statistics.drift_exponent(cells.wanted, normal)
    drifted = drifted.mul_(-statistics.drift_logarithm(seconds)).exp_().mul(programmed)
    if statistics.accumulates_noise:
        noise = statistics.accumulated_deviation(programmed, seconds)
        noise.mul_(draws.normal(shape, *name, "accumulated noise", seconds))
        drifted.addcmul_(drifted, noise)
    return with_stuck(cells, drifted.clamp_(min=0.0))
