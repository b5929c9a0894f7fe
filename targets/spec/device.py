"""Memory devices: effects of a write, of time, and of a programming pulse.

All conductances are normalised to ``conductance_max`` (0..1) unless a unit says otherwise. Sources: Joshi 2020, Rasch
2023, AIHWKit and the FTJ thesis, in full in docs/physics.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tilewright.targets.quantity import Quantity, Rule
from tilewright.targets.spec.description import Description


class Pulse(Description):
    """One step of closed-loop programming: n pulses move a conductance by n · step, up more and down less.

    The move is n · step · (1 + asymmetry) up, n · step · (1 - asymmetry) down, plus step · spread · sqrt(n) · N(0, 1).
    """

    step: Annotated[Quantity, Rule("1", 1e-6, 1)] = Field(description="smallest change, in parts of g_max")
    asymmetry: Annotated[Quantity, Rule("1", -1, 1)]
    spread: Annotated[Quantity, Rule("1", 0, 10)] = Field(
        description="standard deviation from pulse to pulse, relative to the step"
    )


class ProgrammingNoise(Description):
    """Deviation of a write (Joshi 2020, Rasch 2023 Eq. 7): σ(g) = scale · (quadratic g² + linear g + constant)."""

    scale: Annotated[Quantity, Rule("1", 0, 100)]
    constant: Annotated[Quantity, Rule("uS", -1e3, 1e3)]
    linear: Annotated[Quantity, Rule("uS", -1e3, 1e3)]
    quadratic: Annotated[Quantity, Rule("uS", -1e3, 1e3)]


class ProgrammingSpread(Description):
    """Standard deviation of a single write, normal around the target conductance and equal at every conductance."""

    device_to_device: Annotated[Quantity, Rule("1", 0, 2)] = Field(
        description="standard deviation of one draw a device, in parts of g_max"
    )
    cycle_to_cycle: Annotated[Quantity, Rule("1", 0, 2)] = Field(
        description="standard deviation of one draw a write, in parts of g_max"
    )


class ClippedLogarithm(Description):
    """Law clip(slope · ln g + intercept, minimum, maximum), by which drift statistics depend on the conductance."""

    slope: Annotated[Quantity, Rule("1", -10, 10)]
    intercept: Annotated[Quantity, Rule("1", -10, 10)]
    minimum: Annotated[Quantity, Rule("1", 0, 10)]
    maximum: Annotated[Quantity, Rule("1", 0, 10)]


class Drift(Description):
    """Drift g(t) = g_prog · ((t + t0)/t0)^(-ν) with ν normal, drawn once per device (Joshi 2020, Rasch 2023 Eq. 8)."""

    reference_time: Annotated[Quantity, Rule("s", 1e-9, 1e9)]
    exponent_mean: ClippedLogarithm
    exponent_spread: ClippedLogarithm
    negative_exponent: Literal["zero", "absolute"] = Field(
        description="treatment of a drawn ν below zero: zero, or its absolute value"
    )


class CubicDrift(Description):
    """Drift g(t) = g_prog · ((t + t0)/t0)^(-ν(g)), ν = cubic g³ + quadratic g² + linear g + constant (FTJ thesis)."""

    reference_time: Annotated[Quantity, Rule("s", 1e-9, 1e9)]
    cubic: Annotated[Quantity, Rule("1", -10, 10)]
    quadratic: Annotated[Quantity, Rule("1", -10, 10)]
    linear: Annotated[Quantity, Rule("1", -10, 10)]
    constant: Annotated[Quantity, Rule("1", -10, 10)]


class AccumulatedNoise(Description):
    """1/f noise since programming, Rasch 2023 Eq. 10: σ = scale · g(t) · Q(g) · sqrt(ln((t + t0 + t_r)/(2 t_r)))."""

    scale: Annotated[Quantity, Rule("1", 0, 100)]
    coefficient: Annotated[Quantity, Rule("1", 0, 10)]
    exponent: Annotated[Quantity, Rule("1", 0, 10)]
    maximum: Annotated[Quantity, Rule("1", 0, 10)]
    read_time: Annotated[Quantity, Rule("s", 1e-12, 1)]


Conductance = Annotated[Quantity, Rule("uS", 1e-6, 1e6)]
InactiveDevice = Annotated[
    Literal["noise_free", "programmed"],
    Field(description="the device of a pair that holds zero: silent (Spoon, Rasch) or written with σ(0) (AIHWKit)"),
]


class PcmDevice(Description):
    """Phase-change memory with the statistics of Joshi 2020."""

    statistics: Literal["pcm"]
    conductance_max: Conductance
    inactive_device: InactiveDevice
    programming: ProgrammingNoise
    pulse: Pulse
    drift: Drift
    accumulated_noise: AccumulatedNoise


class FtjDevice(Description):
    """A ferroelectric tunnel junction: writes with a constant spread, drifts without one (FTJ thesis)."""

    statistics: Literal["ftj"]
    conductance_max: Conductance
    inactive_device: InactiveDevice
    programming: ProgrammingSpread
    pulse: Pulse
    drift: CubicDrift


class GaussianDevice(Description):
    """A device that is known by the spread of its writes alone; it does not drift."""

    statistics: Literal["gaussian"]
    conductance_max: Conductance
    inactive_device: InactiveDevice
    programming: ProgrammingSpread
    pulse: Pulse


class IdealDevice(Description):
    """A device that keeps exactly what it was given."""

    statistics: Literal["ideal"]

    @property
    def conductance_max(self) -> float:
        """Largest conductance, zero µS: an ideal device draws no current, so its wires lose nothing."""
        return 0.0


Device = Annotated[PcmDevice | FtjDevice | GaussianDevice | IdealDevice, Field(discriminator="statistics")]


class StuckDevices(Description):
    """Devices that cannot be written: the shares that stay at zero and at the largest conductance."""

    at_zero: Annotated[Quantity, Rule("1", 0, 0.5)]
    at_maximum: Annotated[Quantity, Rule("1", 0, 0.5)]
