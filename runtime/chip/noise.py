"""The noise of one read of a row-block: numbers that have names, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    samples: Sequence[int]
    layout: tuple[int, int]
    """Rows of the input before and after each sample: [before, samples, after]."""
    columns: int

    def __call__(self, reading: int) -> Tensor:
        """Standard normal numbers [rows, columns] of a reading, those of each sample named by its number."""
        before, after = self.layout
        what = "read" if reading == 0 else f"read again {reading}"
        name = (*self.row_block, what, self.use, self.seconds)
        normal = self.draws.normal_per_sample(self.samples, before * after, self.columns, *name)
        if before > 1:
            normal = normal.reshape(len(self.samples), before, after, self.columns).transpose(0, 1)
        return normal.reshape(-1, self.columns)


def silent(reading: int) -> None:
    """The noise of tiles that have none."""
