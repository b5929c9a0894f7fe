"""A device that keeps exactly what it was given."""

from __future__ import annotations

import torch
from torch import Tensor


class Unchanging:
    """What devices without drift and without 1/f noise have in common."""

    drifts = False
    exponent_varies = False
    accumulates_noise = False

    def drift_exponent(self, conductance: Tensor, normal: Tensor | None) -> Tensor:
        """Zero."""
        return torch.zeros_like(conductance)

    def drift_logarithm(self, seconds: float) -> float:
        """Zero: nothing drifts."""
        return 0.0

    def accumulated_deviation(self, programmed: Tensor, seconds: float) -> Tensor:
        """Zero."""
        return torch.zeros_like(programmed)


class IdealStatistics(Unchanging):
    """No programming noise, no drift, no 1/f noise."""

    deterministic = True
    writes_zero = False

    def programming_deviation(self, conductance: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(conductance)
