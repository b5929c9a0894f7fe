"""A device that keeps exactly what it was given."""

from __future__ import annotations

import torch
from torch import Tensor


class Unchanging:
    """Statistics without drift and without 1/f noise."""

    drifts = False
    exponent_varies = False
    accumulates_noise = False

    def drift_exponent(self, conductance: Tensor, normal: Tensor | None) -> Tensor:
        """Drift exponent ν: zero."""
        return torch.zeros_like(conductance)

    def drift_logarithm(self, seconds: float) -> float:
        """Logarithm of time in the law of drift: zero, since nothing drifts."""
        return 0.0

    def accumulated_deviation(self, programmed: Tensor, seconds: float) -> Tensor:
        """Standard deviation of the 1/f noise: zero."""
        return torch.zeros_like(programmed)


class IdealStatistics(Unchanging):
    """Statistics of an ``IdealDevice``: no programming noise, no drift, no 1/f noise."""

    deterministic = True
    writes_zero = False

    def programming_deviation(self, conductance: Tensor) -> Tensor:
        """Standard deviation of one write: zero."""
        return torch.zeros_like(conductance)
