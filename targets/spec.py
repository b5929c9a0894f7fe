"""What a target is: device, tile, attention unit and chip, typed and validated.

All conductances are normalised to ``conductance_max`` (0..1) unless a unit says otherwise. Sources: Spoon 2021, Joshi
2020, Rasch 2023 and AIHWKit, in full in docs/physics.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tilewright.targets.quantity import Count, Quantity, Rule


class Description(BaseModel):
    """Base of every part: unknown keys are refused, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProgrammingNoise(Description):
    """σ(g) = scale · (quadratic g² + linear g + constant), Joshi 2020; the law of a single write."""

    scale: Annotated[Quantity, Rule("1", 0, 100)]
    constant: Annotated[Quantity, Rule("uS", -1e3, 1e3)]
    linear: Annotated[Quantity, Rule("uS", -1e3, 1e3)]
    quadratic: Annotated[Quantity, Rule("uS", -1e3, 1e3)]


class ClippedLogarithm(Description):
    """clip(slope · ln g + intercept, minimum, maximum): how drift statistics depend on the conductance."""

    slope: Annotated[Quantity, Rule("1", -10, 10)]
    intercept: Annotated[Quantity, Rule("1", -10, 10)]
    minimum: Annotated[Quantity, Rule("1", 0, 10)]
    maximum: Annotated[Quantity, Rule("1", 0, 10)]


class Drift(Description):
    """g(t) = g_prog · ((t + t0)/t0)^(-ν) with ν normal, drawn once per device (Joshi 2020, Rasch 2023 Eq. 8)."""

    reference_time: Annotated[Quantity, Rule("s", 1e-9, 1e9)]
    exponent_mean: ClippedLogarithm
    exponent_spread: ClippedLogarithm
    negative_exponent: Literal["zero", "absolute"] = Field(
        description="what becomes of a drawn ν below zero: set to zero, or its absolute value"
    )


class AccumulatedNoise(Description):
    """1/f noise since programming: σ = scale · g(t) · Q(g) · sqrt(ln((t + t0 + t_read)/(2 t_read))), Rasch 2023."""

    scale: Annotated[Quantity, Rule("1", 0, 100)]
    coefficient: Annotated[Quantity, Rule("1", 0, 10)]
    exponent: Annotated[Quantity, Rule("1", 0, 10)]
    maximum: Annotated[Quantity, Rule("1", 0, 10)]
    read_time: Annotated[Quantity, Rule("s", 1e-12, 1)]


class PcmDevice(Description):
    """Phase-change memory with the statistics of Joshi 2020."""

    statistics: Literal["pcm"]
    conductance_max: Annotated[Quantity, Rule("uS", 1e-6, 1e6)]
    inactive_device: Literal["noise_free", "programmed"] = Field(
        description="the device of a pair that holds zero: silent (Spoon, Rasch) or written with σ(0) (AIHWKit)"
    )
    programming: ProgrammingNoise
    drift: Drift
    accumulated_noise: AccumulatedNoise


class IdealDevice(Description):
    """A device that keeps exactly what it was given."""

    statistics: Literal["ideal"]

    @property
    def conductance_max(self) -> float:
        """Zero µS: an ideal device draws no current, so its wires lose nothing."""
        return 0.0


class Converter(Description):
    """A symmetric converter of ``bits`` bits over ±``bound``: 2^bits - 2 steps (Rasch 2023)."""

    bits: Annotated[Count, Rule("bit", 2, 16)]
    bound: Annotated[Quantity, Rule("1", 1e-6, 1e6)]

    @property
    def levels(self) -> int:
        """Steps on one side of zero."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def step(self) -> float:
        """The least significant bit."""
        return float(self.bound) / self.levels


class IrDrop(Description):
    """Voltage drop along the wires, Rasch 2023 Eq. 16-18."""

    enabled: bool
    wire_resistance: Annotated[Quantity, Rule("ohm", 0, 1e6)]


class Tile(Description):
    """A crossbar with its converters. A null converter neither rounds nor clips."""

    rows: Annotated[Count, Rule("row", 1, 65536)]
    columns: Annotated[Count, Rule("column", 1, 65536)]
    weight_scale: Literal["per_column"]
    dac: Converter | None
    adc: Converter | None
    output_noise: Annotated[Quantity, Rule(("LSB", "1"), 0, 1e3)]
    short_term_read_noise: Annotated[Quantity, Rule("1", 0, 10)]
    ir_drop: IrDrop | None
    scale_precision: Literal["float32", "bfloat16"]

    @property
    def output_noise_deviation(self) -> float:
        """Standard deviation of the noise before the ADC, in units of its input."""
        if self.output_noise.unit != "LSB":
            return float(self.output_noise)
        return float(self.output_noise) * (self.adc.step if self.adc else 0.0)


class AttentionUnit(Description):
    """The digital unit of both attention products; null bits compute in FP32."""

    bits: Annotated[Count, Rule("bit", 2, 16)] | None


class Chip(Description):
    """Tiles on a mesh."""

    mesh_rows: Annotated[Count, Rule("tile", 1, 100000)]
    mesh_columns: Annotated[Count, Rule("tile", 1, 100000)]

    @property
    def tiles(self) -> int:
        """Tiles on one chip."""
        return int(self.mesh_rows * self.mesh_columns)


class Target(Description):
    """A place where layers can run, as read from one YAML file."""

    schema_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
    summary: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    device: Annotated[PcmDevice | IdealDevice, Field(discriminator="statistics")]
    tile: Tile
    drift_compensation: Literal["none", "global"]
    attention: AttentionUnit
    chip: Chip
