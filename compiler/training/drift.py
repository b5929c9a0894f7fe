"""Drift while a network trains: weights are smaller, and the chip's compensation enlarges what the ADC read of sums."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.targets.devices import DeviceStatistics
from tilewright.targets.spec import AnalogTarget

SAMPLED = 32
"""Rows, and columns where all share it, that tell what is left: the exponents of all devices would cost as much as half
of the products."""


@torch.no_grad()
def kept_after(logarithm: float, held: Tensor, statistics: DeviceStatistics, target: AnalogTarget) -> Tensor:
    """Part of the weights of a row-block that the devices' mean drift leaves, as the target's compensation sees it.

    logarithm: of the time, ``DeviceStatistics.drift_logarithm``. held: normalised weights [columns, rows]. Returns
    [1, 1], or [columns, 1] where each column is compensated. Sums of what is left stand less above the noise and the
    steps of the ADC: of what a month does to a network on static converters that is most. That small conductances drift
    more than large ones changes a sum by a few percent, and is not imposed.
    """
    by_column = target.drift_compensation == "per_column"
    columns, rows = (size // SAMPLED | 1 for size in held.shape)  # odd: weights may be pruned in patterns of 2 or 4
    sizes = held[:: 1 if by_column else columns, ::rows].abs()
    exponent = statistics.drift_exponent(sizes, torch.zeros_like(sizes) if statistics.exponent_varies else None)
    after = exponent.mul_(-logarithm).exp_().mul_(sizes)
    over = 1 if by_column else (0, 1)
    total, left = sizes.sum(dim=over, keepdim=True), after.sum(dim=over, keepdim=True)
    return torch.where(total > 0, left / total, torch.ones_like(total))
