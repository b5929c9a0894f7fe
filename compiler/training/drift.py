"""Drift while a network trains: sums are smaller, and the chip's compensation enlarges what the ADC read of them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.targets.devices import DeviceStatistics
from tilewright.targets.spec import AnalogTarget


@torch.no_grad()
def kept_after(logarithm: float, held: Tensor, statistics: DeviceStatistics, target: AnalogTarget) -> Tensor:
    """Part of the sums of a row-block that the devices' mean drift leaves, as the target's compensation sees it.

    logarithm: of the time, ``DeviceStatistics.drift_logarithm``. held: normalised weights [columns, rows]. Returns [],
    or [columns] where each column is compensated. What is left stands less above the noise and the steps of the ADC:
    of what a month does to a network on static converters that is most. That small conductances drift more than large
    ones changes a sum by a few percent, and is not imposed.
    """
    sizes = held.abs()
    exponent = statistics.drift_exponent(sizes, torch.zeros_like(sizes) if statistics.exponent_varies else None)
    after = exponent.mul_(-logarithm).exp_().mul_(sizes)
    by_column = target.drift_compensation == "per_column"
    total = sizes.sum(dim=1) if by_column else sizes.sum()
    left = after.sum(dim=1) if by_column else after.sum()
    return torch.where(total > 0, left / total, torch.ones_like(total))
