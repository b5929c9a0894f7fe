"""Reads in which each input vector has a range of its own, doubled while an ADC saturates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tilewright.runtime.chip.noise import Noise
from tilewright.runtime.chip.tile import TileRow
from tilewright.targets.spec import Converter

Multiply = Callable[[Tensor, Tensor, int, Tensor | None], Tensor]
"""Outputs [M, columns] of the n-th reading of inputs [M, rows] with ranges [M, 1]; the last says which rows of the read
these are, all if None."""


def read_with_own_ranges(multiply: Multiply, values: Tensor, doublings: int, adc: Converter | None) -> Tensor:
    """Outputs [M, columns] times the range of their input: α = max|x| of each vector, doubled while an ADC saturates.

    Noise and bound management of Gokmen et al. 2017, as in AIHWKit and the FTJ thesis. All column tiles of the
    row-block share the range, as they share the DACs.
    """
    ranges = values.abs().amax(dim=1, keepdim=True)
    ranges = torch.where(ranges > 0, ranges, torch.ones_like(ranges))
    outputs = multiply(values, ranges, 0, None)
    waiting: Tensor | None = None  # all rows
    for reading in range(1, doublings + 1 if adc is not None else 1):
        assert adc is not None
        read = outputs if waiting is None else outputs[waiting]
        saturated = read.abs().amax(dim=1) >= adc.bound - adc.step / 2
        if not saturated.any():
            break
        waiting = saturated.nonzero().squeeze(1) if waiting is None else waiting[saturated]
        ranges[waiting] *= 2
        outputs[waiting] = multiply(values[waiting], ranges[waiting], reading, waiting)
    return outputs.mul_(ranges)


def multiply_with(tiles: TileRow, noise: Noise) -> Multiply:
    """Readings of tiles with this noise."""

    def multiply(values: Tensor, ranges: Tensor, reading: int, rows: Tensor | None) -> Tensor:
        normal = noise(reading)
        return tiles.multiply(values, ranges, normal if normal is None or rows is None else normal[rows])

    return multiply
