"""One write of each device."""

from __future__ import annotations

from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.targets.devices import DeviceStatistics


def write(cells: Cells, statistics: DeviceStatistics, draws: Draws, *name: object) -> Tensor:
    """Conductances after one write [P, columns, rows]: max(0, g + N(0, σ(g))) (Joshi 2020).

    A device that is asked for zero is silent unless the target writes it; a stuck one is where it is.
    """
    programmed = cells.wanted
    if not statistics.deterministic:
        programmed = statistics.programming_deviation(cells.wanted)
        programmed.mul_(draws.normal(cells.wanted.shape, *name, "programming")).add_(cells.wanted).clamp_(min=0.0)
        if cells.devices_per_pair == 2 and not statistics.writes_zero:
            programmed.mul_(cells.wanted > 0)
    return with_stuck(cells, programmed)


def with_stuck(cells: Cells, conductances: Tensor) -> Tensor:
    """The conductances with those of stuck devices as they are."""
    if cells.stuck is None or cells.stuck_at is None:
        return conductances
    return conductances.where(~cells.stuck, cells.stuck_at)
