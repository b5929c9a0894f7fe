"""One write of each device."""

from __future__ import annotations

from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels import laws as kernel
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.targets.devices import DeviceStatistics


def write(cells: Cells, statistics: DeviceStatistics, draws: Draws, *name: object) -> Tensor:
    """Conductances after one write [P, columns, rows]: max(0, g + N(0, σ(g))) (Joshi 2020).

    A device that is asked for zero is silent unless the target writes it; a stuck one is where it is.
    """
    programmed = cells.wanted
    if not statistics.deterministic:
        zero_is_silent = cells.devices_per_pair == 2 and not statistics.writes_zero
        made = kernel.written if kernel.takes(statistics, cells.wanted) else _written
        programmed = made(cells.wanted, zero_is_silent, statistics, draws, name)
    return with_stuck(cells, programmed)


def _written(
    wanted: Tensor, zero_is_silent: bool, statistics: DeviceStatistics, draws: Draws, name: tuple[object, ...]
) -> Tensor:
    """Conductances after one write [P, columns, rows], of healthy devices: the law."""
    programmed = statistics.programming_deviation(wanted)
    programmed.mul_(draws.normal(wanted.shape, *name, "programming")).add_(wanted).clamp_(min=0.0)
    return programmed.mul_(wanted > 0) if zero_is_silent else programmed


def with_stuck(cells: Cells, conductances: Tensor) -> Tensor:
    """The conductances with those of stuck devices as they are."""
    if cells.stuck is None or cells.stuck_at is None:
        return conductances
    return conductances.where(~cells.stuck, cells.stuck_at)
