"""What time does to programmed conductances, and the global compensation that undoes most of it."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.runtime.draws import Draws
from tilewright.runtime.programming import Pairs
from tilewright.runtime.tile import TileRow
from tilewright.targets.devices import DeviceStatistics


def conductances_at(
    seconds: float, programmed: Tensor, pairs: Pairs, statistics: DeviceStatistics, draws: Draws, *name: object
) -> Tensor:
    """The conductances at a time: drift, then 1/f noise, never below zero (Joshi 2020; Rasch 2023 Eq. 8-10).

    ν depends on the conductance that was asked for and is drawn from its name again at each time: a chip keeps its ν.
    The 1/f noise has one draw a time and is frozen until the next.
    """
    if statistics.deterministic:
        return programmed
    shape = programmed.shape
    drifted = statistics.drift_exponent(pairs.conductances, draws.normal(shape, *name, "drift exponent"))
    drifted.mul_(-statistics.drift_logarithm(seconds)).exp_().mul_(programmed)
    noise = statistics.accumulated_deviation(programmed, seconds)
    noise.mul_(draws.normal(shape, *name, "accumulated noise", seconds))
    return drifted.addcmul_(drifted, noise).clamp_(min=0.0)


def one_hot_reading(
    row: TileRow, weights: Tensor, column_splits: list[int], draws: Draws, seconds: float, *name: object
) -> Tensor:
    """Σ|y| of each tile over one-hot inputs, each read once through the tile's own noise and ADC.

    weights: [columns, rows] at that time. Returns one number a column tile. (Joshi 2020; AIHWKit's global
    compensation: the factor is the reading after programming over the reading now.)
    """
    normal = draws.normal(weights.shape, *name, "compensation reading", seconds)
    readings = row.read_one_hot(weights, normal).abs_().sum(dim=1)
    return torch.stack([part.sum() for part in torch.split(readings, column_splits)])
