"""Crossbars with their converters, and the scaling of weights and inputs to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tilewright.targets.quantity import Count, Quantity, Rule
from tilewright.targets.spec.description import Description


class Converter(Description):
    """A symmetric converter of ``bits`` bits over ±``bound``: 2^bits - 2 steps (Rasch 2023)."""

    bits: Annotated[Count, Rule("bit", 2, 16)]
    bound: Annotated[Quantity, Rule("1", 1e-6, 1e6)]
    offset: Annotated[Quantity, Rule("LSB", 0, 1e3)] | None = Field(
        None, description="standard deviation over the tile's converters of a constant that each adds, once a chip"
    )
    nonlinearity: Annotated[Quantity, Rule("LSB", -1e3, 1e3)] | None = Field(
        None, description="largest deviation from the straight line of a cubic that is right at 0 and at ±bound"
    )

    @property
    def levels(self) -> int:
        """Number of steps on one side of zero."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def step(self) -> float:
        """Least significant bit, in units of the bound."""
        return float(self.bound) / self.levels


class IrDrop(Description):
    """Voltage drop along the wires, Rasch 2023 Eq. 16-18."""

    enabled: bool
    wire_resistance: Annotated[Quantity, Rule("ohm", 0, 1e6)]


class ClippedAtDeviations(Description):
    """Clipping of weights at k times the root mean square of those that share a scale."""

    rule: Literal["deviations"]
    deviations: Annotated[Quantity, Rule("1", 0.1, 100)]


class ClippedByError(Description):
    """Clipping of each layer's weights where the error of its outputs is smallest on a simulated chip."""

    rule: Literal["least_error"]


WeightClipping = Annotated[ClippedAtDeviations | ClippedByError, Field(discriminator="rule")]


class StaticRange(Description):
    """One range a use of a layer: the largest |input| of the calibration set, or the range of least simulated error."""

    rule: Literal["abs_max", "least_error"]


class PercentileRange(Description):
    """One range a use of a layer: a percentile of |input| over the calibration set."""

    rule: Literal["percentile"]
    percentile: Annotated[Quantity, Rule("%", 1, 100)]


class DynamicRange(Description):
    """A range for each input vector: its largest |x|, doubled and read again while an ADC saturates.

    Noise management and bound management of Gokmen et al. 2017 and AIHWKit.
    """

    rule: Literal["dynamic"]
    doublings: Annotated[Count, Rule("reading", 0, 16)] = Field(description="readings that may follow the first")


InputRange = Annotated[StaticRange | PercentileRange | DynamicRange, Field(discriminator="rule")]


class Tile(Description):
    """A crossbar with its converters. A null converter neither rounds nor clips."""

    rows: Annotated[Count, Rule("row", 1, 65536)]
    columns: Annotated[Count, Rule("column", 1, 65536)]
    row_splitting: Literal["even", "greedy"] = Field(
        description="split of rows into blocks: equal ones, or as many full tiles as fit and the rest"
    )
    weight_scale: Literal["per_column", "per_tile"]
    weight_clipping: WeightClipping | None
    input_range: InputRange
    dac: Converter | None
    adc: Converter | None
    output_noise: Annotated[Quantity, Rule(("LSB", "1"), 0, 1e3)]
    short_term_read_noise: Annotated[Quantity, Rule("1", 0, 10)]
    read_noise_law: Literal["conductance", "constant"] = Field(
        description="variance of a weight's read noise: in proportion to |w| (Rasch), or the same for all (FTJ)"
    )
    ir_drop: IrDrop | None
    scale_precision: Literal["float32", "bfloat16"]

    @property
    def output_noise_deviation(self) -> float:
        """Standard deviation of the noise before the ADC, in units of its input."""
        if self.output_noise.unit != "LSB":
            return float(self.output_noise)
        return float(self.output_noise) * (self.adc.step if self.adc else 0.0)

    @property
    def doublings(self) -> int | None:
        """Largest number of readings after the first where ranges are dynamic; None where they are static."""
        return int(self.input_range.doublings) if isinstance(self.input_range, DynamicRange) else None
