"""The noise of one read of a row-block: numbers that have names, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from tilewright.runtime.chip.draws import Draws

Noise = Callable[[int], Tensor | None]
"""Standard normal numbers [M, columns] of the n-th reading of the same inputs; None where reading is noise-free."""


@dataclass(frozen=True)
class ReadNoise:
    """Standard normal numbers of a read. Its fields name them, for a kernel that makes them itself."""

    draws: Draws
    row_block: tuple[object, ...]
    """Name of the row-block."""
    use: int
    seconds: float
    places: Tensor
    """Places of the rows [M, 3], as of ``draws.places_of``."""
    columns: int

    def __call__(self, reading: int) -> Tensor:
        """Standard normal numbers [rows, columns] of a reading, those of each sample named by its number."""
        return self.draws.read_noise(self.places, self.columns, *self.name(reading))

    def name(self, reading: int) -> tuple[object, ...]:
        """Name of a reading's draw."""
        return read_name(self.row_block, self.use, self.seconds, reading)


def read_name(row_block: tuple[object, ...], use: int, seconds: float, reading: int = 0) -> tuple[object, ...]:
    """Name of the draw of a read: of a row-block at a place in the graph and a time, and of which reading of it."""
    return (*row_block, "read" if reading == 0 else f"read again {reading}", use, seconds)


def silent(reading: int) -> None:
    """The noise of tiles that have none."""
