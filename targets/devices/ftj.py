"""Ferroelectric tunnel junctions (FTJ thesis): constant spread of a write, drift set by the conductance alone."""

from __future__ import annotations

import math

from torch import Tensor

from tilewright.targets.devices.gaussian import GaussianStatistics
from tilewright.targets.devices.statistics import Laws
from tilewright.targets.spec.device import FtjDevice


class FtjStatistics(GaussianStatistics):
    """The statistics of an ``FtjDevice``."""

    drifts = True

    def __init__(self, device: FtjDevice) -> None:
        super().__init__(device)
        self.drift = drift = device.drift
        coefficients = (drift.cubic, drift.quadratic, drift.linear, drift.constant)
        self.laws = Laws(write=(0.0, 0.0, self.deviation), exponent_mean=coefficients)

    def drift_exponent(self, conductance: Tensor, normal: Tensor | None) -> Tensor:
        """Drift exponent ν(g) = .0122 g³ - .0241 g² + .0112 g + .001 (FTJ thesis, drift fit): .001 at 0, .0003 at 1."""
        drift = self.drift
        exponent = (drift.cubic * conductance).add_(drift.quadratic).mul_(conductance).add_(drift.linear)
        return exponent.mul_(conductance).add_(drift.constant)

    def drift_logarithm(self, seconds: float) -> float:
        """Logarithm of time, ln((t + t0)/t0)."""
        return math.log1p(seconds / self.drift.reference_time)
