"""Phase-change memory: programming noise, drift and 1/f noise (Joshi 2020; Rasch 2023 Eq. 7-11)."""

from __future__ import annotations

import math

from torch import Tensor

from tilewright.targets.devices.elementary import exponential, logarithm
from tilewright.targets.devices.statistics import DeviceStatistics, Laws
from tilewright.targets.spec.device import ClippedLogarithm, PcmDevice

SMALLEST = 1e-9
"""Conductance at which ln g and g^-p are cut; every curve has reached its clip long before."""


def clipped_logarithm(curve: ClippedLogarithm, conductance: Tensor) -> Tensor:
    """Clipped logarithm of conductances, clip(slope · ln g + intercept, minimum, maximum)."""
    made = logarithm(conductance.clamp(min=SMALLEST)).mul_(curve.slope).add_(curve.intercept)
    return made.clamp_(curve.minimum, curve.maximum)


class PcmStatistics(DeviceStatistics):
    """The statistics of a ``PcmDevice``; conductances normalised to its maximum."""

    drifts = True
    exponent_varies = True
    accumulates_noise = True

    def __init__(self, device: PcmDevice) -> None:
        self.device = device
        self.writes_zero = device.inactive_device == "programmed"
        write, drift, noise = device.programming, device.drift, device.accumulated_noise
        mean, spread = drift.exponent_mean, drift.exponent_spread
        self.laws = Laws(
            write=(write.quadratic, write.linear, write.constant),
            write_unit=write.scale / device.conductance_max,
            exponent_mean=(mean.slope, mean.intercept, mean.minimum, mean.maximum),
            exponent_spread=(spread.slope, spread.intercept, spread.minimum, spread.maximum),
            absolute_exponent=drift.negative_exponent == "absolute",
            accumulated=(-noise.exponent, noise.coefficient, noise.maximum, noise.scale),
        )

    def programming_deviation(self, conductance: Tensor) -> Tensor:
        """Standard deviation of one write, in parts of the maximum.

        γ_p (-1.1731 g² + 1.9650 g + 0.26348) µS / 25 µS (Joshi 2020; Rasch 2023 Eq. 7). The polynomial is in
        µS: without the division by the maximum the noise is 25 times too large.
        """
        noise = self.device.programming
        in_microsiemens = (noise.quadratic * conductance).add_(noise.linear).mul_(conductance).add_(noise.constant)
        return in_microsiemens.mul_(noise.scale / self.device.conductance_max).clamp_(min=0.0)

    def drift_exponent(self, conductance: Tensor, normal: Tensor | None) -> Tensor:
        """Drift exponent ν ~ N(μ(g), σ(g)), once per device (Joshi 2020; Rasch 2023 Eq. 9)."""
        assert normal is not None
        drift = self.device.drift
        exponent = clipped_logarithm(drift.exponent_spread, conductance).mul_(normal)
        exponent.add_(clipped_logarithm(drift.exponent_mean, conductance))
        return exponent.clamp_(min=0.0) if drift.negative_exponent == "zero" else exponent.abs_()

    def drift_logarithm(self, seconds: float) -> float:
        """Logarithm of time, ln((t + t0)/t0): zero at t = 0, unlike ln(t/t0), by which conductances grow before t0."""
        return math.log1p(seconds / self.device.drift.reference_time)

    def accumulated_growth(self, seconds: float) -> float:
        """Growth of the 1/f noise, sqrt(ln((t + t0 + t_r)/(2 t_r))) (Rasch 2023 Eq. 10)."""
        read_time = self.device.accumulated_noise.read_time
        elapsed = seconds + self.device.drift.reference_time + read_time
        return math.sqrt(max(math.log(elapsed / (2 * read_time)), 0.0))

    def accumulated_deviation(self, programmed: Tensor, seconds: float) -> Tensor:
        """Standard deviation of 1/f noise, relative to the drifted conductance.

        γ_r Q(g) sqrt(ln((t + t0 + t_r)/(2 t_r))), Q = min(0.0088/g^0.65, 0.2) (Rasch 2023 Eq. 10).
        """
        noise = self.device.accumulated_noise
        power = logarithm(programmed.clamp(min=SMALLEST)).mul_(-noise.exponent)
        deviation = exponential(power).mul_(noise.coefficient)
        return deviation.clamp_(max=noise.maximum).mul_(noise.scale * self.accumulated_growth(seconds))
