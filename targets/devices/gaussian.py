"""Devices whose writes have one spread at every conductance, and which keep what was written."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tilewright.targets.devices.statistics import DeviceStatistics, Laws
from tilewright.targets.spec.device import FtjDevice, GaussianDevice


class GaussianStatistics(DeviceStatistics):
    """Constant spread of a write, σ = sqrt(σ_device² + σ_cycle²): each write sees both, and they are independent."""

    def __init__(self, device: GaussianDevice | FtjDevice) -> None:
        spread = device.programming
        self.deviation = math.hypot(spread.device_to_device, spread.cycle_to_cycle)
        self.writes_zero = device.inactive_device == "programmed"
        self.laws = Laws(write=(0.0, 0.0, self.deviation))

    def programming_deviation(self, conductance: Tensor) -> Tensor:
        """Standard deviation of one write, equal at every conductance, in parts of the maximum."""
        return torch.full_like(conductance, self.deviation)
