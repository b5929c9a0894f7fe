"""Interface of all kinds of device. All conductances are normalised to the device's maximum (0..1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Laws:
    """Laws of a device as numbers, for a kernel that computes them; g is a normalised conductance."""

    write: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Deviation of a write: ((w₀ g + w₁) g + w₂) · write_unit, at least zero, in parts of the maximum."""
    write_unit: float = 1.0
    exponent_mean: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Drift exponent: slope and intercept over ln g, minimum, maximum; if it does not vary, coefficients of g³ to 1."""
    exponent_spread: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Standard deviation of the exponent: slope and intercept over ln g, minimum, maximum."""
    absolute_exponent: bool = False
    """True if an exponent below zero is taken as its absolute value, else it is zero."""
    accumulated: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """1/f noise: exponent of g, coefficient, maximum, and scale before its growth."""


class DeviceStatistics:
    """Statistics of one memory device: of one that keeps what was written, where a kind of device says nothing else.

    Functions are elementwise; results have the shape of the first argument.
    """

    deterministic: bool = False
    """True if a device keeps exactly what it was given: no draw is made for it."""

    writes_zero: bool = False
    """True if the device of a pair that holds zero is written, with its noise, as well."""

    drifts: bool = False
    """True if conductances change with time."""

    exponent_varies: bool = False
    """True if devices of one conductance drift apart: only then ``drift_exponent`` needs normal numbers."""

    accumulates_noise: bool = False
    """True if there is 1/f noise since programming."""

    laws: Laws | None = None
    """The laws of the functions below as numbers; None if they cannot be written so."""

    def programming_deviation(self, conductance: Tensor) -> Tensor:
        """Standard deviation of one write of the target conductance, in parts of the maximum."""
        return torch.zeros_like(conductance)

    def drift_exponent(self, conductance: Tensor, normal: Tensor | None) -> Tensor:
        """Drift exponent ν of devices with these target conductances, from standard normal numbers."""
        return torch.zeros_like(conductance)

    def drift_logarithm(self, seconds: float) -> float:
        """Logarithm of time ln((t + t0)/t0), so that g(t) = g · exp(-ν · logarithm); zero where nothing drifts."""
        return 0.0

    def accumulated_growth(self, seconds: float) -> float:
        """Growth of the 1/f noise up to a time, which its deviation is proportional to."""
        return 0.0

    def accumulated_deviation(self, programmed: Tensor, seconds: float) -> Tensor:
        """Standard deviation of the 1/f noise at a time, relative to the drifted conductance."""
        return torch.zeros_like(programmed)


class IdealStatistics(DeviceStatistics):
    """Statistics of an ``IdealDevice``: no programming noise, no drift, no 1/f noise."""

    deterministic = True
    laws = Laws()
