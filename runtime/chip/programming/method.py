"""One programming method from beginning to end: share out, mind stuck devices, write, feed back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.runtime.chip.programming.closed_loop import refine
from tilewright.runtime.chip.programming.coding import cells_of, nearest_state
from tilewright.runtime.chip.programming.stuck_devices import with_stuck_devices
from tilewright.runtime.chip.programming.writing import write
from tilewright.runtime.chip.tile import TileRow
from tilewright.targets.devices import DeviceStatistics, statistics_of
from tilewright.targets.spec import AnalogTarget, ClosedLoop, IdealDevice, MostLeast, Programming


@dataclass(frozen=True)
class ProgrammedTiles:
    """The tiles of one row-block as they were right after programming."""

    cells: Cells
    conductances: Tensor
    """Conductances [P, columns, rows], normalised 0..1."""


@dataclass(frozen=True)
class Programmer:
    """Programming of one row-block: target, method and draws, all that it takes beside the weights."""

    target: AnalogTarget
    method: Programming
    column_splits: list[int]
    draws: Draws
    name: tuple[object, ...]
    """Name of the row-block, which names the draws."""

    @cached_property
    def statistics(self) -> DeviceStatistics:
        """Statistics of the target's devices."""
        return statistics_of(self.target.device)

    def cells(self, normalised: Tensor) -> Cells:
        """The devices of weights [columns, rows] in [-1, 1], and what is asked of them before anything was read."""
        stuck = self.target.stuck_devices
        both = self.statistics.writes_zero or stuck is not None
        cells = cells_of(normalised, self.method, both)
        if stuck is None:
            return cells
        columns = int(self.target.tile.columns)
        return with_stuck_devices(
            cells, normalised, stuck, self.method, self.column_splits, columns, self.draws, *self.name
        )

    def write_most_then_least(self, cells: Cells, coding: MostLeast, wanted: Tensor) -> tuple[Cells, Tensor]:
        """Write the most significant pair, read it, and ask the least significant one for what is missing."""
        first = write(cells, self.statistics, self.draws, *self.name)
        held = self._read_back(cells, first, int(coding.readings))
        missing = (wanted - held).mul_(coding.ratio).clamp_(-1.0, 1.0)
        if self.method.states_per_device is not None:
            missing = nearest_state(missing, int(self.method.states_per_device))
        cells = cells.with_pair(1, missing)
        second = write(cells, self.statistics, self.draws, *self.name, "second pair")
        second[: cells.devices_per_pair] = first[: cells.devices_per_pair]
        return cells, second

    def _read_back(self, cells: Cells, conductances: Tensor, readings: int) -> Tensor:
        """The weights of the first pair alone, as the mean of several one-hot readings shows them."""
        alone = conductances.clone()
        alone[cells.devices_per_pair :] = 0
        weights = cells.weights(alone)
        magnitudes = cells.read_magnitudes(alone)
        row = TileRow(weights, self.target, magnitudes, cells.significance_power)
        total = torch.zeros_like(weights)
        for reading in range(readings):
            normal = self.draws.normal(weights.shape, *self.name, "feedback", reading)
            total += row.read_one_hot(weights, normal, magnitudes)
        return total.div_(readings)


def program(normalised: Tensor, programmer: Programmer) -> ProgrammedTiles:
    """Write weights [columns, rows] in [-1, 1] by the method."""
    method, target = programmer.method, programmer.target
    cells = programmer.cells(normalised)
    if isinstance(method.coding, MostLeast):
        return ProgrammedTiles(*programmer.write_most_then_least(cells, method.coding, normalised))
    conductances = write(cells, programmer.statistics, programmer.draws, *programmer.name)
    if isinstance(method.writing, ClosedLoop) and not isinstance(target.device, IdealDevice):
        conductances = refine(
            cells, conductances, normalised, method.writing, target, target.device.pulse, programmer.draws,
            *programmer.name,
        )  # fmt: skip
    return ProgrammedTiles(cells, conductances)
