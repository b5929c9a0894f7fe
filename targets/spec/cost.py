"""Costs of hardware: energy, time and area, each figure with its source.

One preset is one kind of evidence: measured on silicon, or projected. They are never mixed in one file. A quantity
that a preset does not have is not modelled; a figure that nobody published (``is_assumed``) is assumed. A cost says
both.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from tilewright.targets.quantity import Count, Quantity, Rule
from tilewright.targets.spec.description import Description, Document, NumberFormat

Component = Literal[
    "array", "dac", "adc", "scale_and_sum", "digital_layers", "attention", "softmax_and_norms", "data_movement",
    "off_chip",
]  # fmt: skip
COMPONENTS: tuple[Component, ...] = get_args(Component)
"""Components of a cost, in the order of the way through a chip."""

Energy = Annotated[Quantity, Rule("nJ", 0, 1e9)]
Area = Annotated[Quantity, Rule("mm2", 0, 1e6)]
EnergyPerValue = Annotated[Quantity, Rule("pJ", 0, 1e9)]


class TilePart(Description):
    """Cost of one or several components of a tile together, as far as a source tells them apart."""

    covers: Annotated[list[Component], Field(min_length=1)]
    energy: Energy | None = Field(description="energy of one read of the whole tile, whatever part of it holds weights")
    area: Area | None


class TileCost(Description):
    """Energy, time and area of tiles of one size.

    rows, columns: of the tile. parts: costs of its components, alone or together.
    """

    rows: Annotated[Count, Rule("row", 1, 65536)]
    columns: Annotated[Count, Rule("column", 1, 65536)]
    read_time: Annotated[Quantity, Rule("ns", 1e-3, 1e9)] = Field(description="time of one read: DAC, array and ADC")
    parts: Annotated[list[TilePart], Field(min_length=1, max_length=16)]


class MacCost(Description):
    """Cost of one multiplication with an addition on a digital unit, its memory included.

    format: number format of the operands. energy: in pJ.
    """

    format: NumberFormat
    energy: EnergyPerValue
    relative_area: Annotated[Quantity, Rule("1", 0, 1e3)] = Field(description="area of a multiplier, BF16's being 1")


class Cost(Document):
    """A preset of costs: energy, time and area of tiles, of multiplications, and of what lies between.

    kind: "cost". status: measured on silicon, or projected. tiles: costs by size of tile.
    """

    kind: Literal["cost"]
    status: Literal["measured", "projected"]
    tiles: Annotated[list[TileCost], Field(max_length=16)]
    macs: Annotated[list[MacCost], Field(max_length=16)] = Field(
        description="costs of a multiplication on digital and attention units, by number format"
    )
    unit_throughput: Annotated[Quantity, Rule("MAC/ns", 1e-6, 1e9)] | None = Field(description="throughput of one unit")
    scale_and_sum: EnergyPerValue | None = Field(
        description="energy of one output of one tile: scaled, and added to the others'"
    )
    softmax_and_norms: EnergyPerValue | None = Field(
        description="energy of one value that a function other than a product makes"
    )
    data_movement: EnergyPerValue | None = Field(
        description="energy of moving one value over one tile's length of the mesh"
    )

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        sizes = [(int(tile.rows), int(tile.columns)) for tile in self.tiles]
        formats = [mac.format for mac in self.macs]
        for what, names in (("tiles", sizes), ("macs", formats)):
            twice = [name for name in names if names.count(name) > 1]  # type: ignore[arg-type]
            if twice:
                raise ValueError(f"{what} has {twice[0]!r} twice")
        for tile in self.tiles:
            covered = [component for part in tile.parts for component in part.covers]
            if len(set(covered)) != len(covered):
                raise ValueError("two parts of a tile cover the same component")
        return self

    def tile(self, rows: int, columns: int) -> TileCost | None:
        """Cost of tiles of that size; None if the preset has none."""
        return next((tile for tile in self.tiles if (int(tile.rows), int(tile.columns)) == (rows, columns)), None)

    def mac(self, number_format: str) -> MacCost | None:
        """Cost of a multiplication in that format; None if the preset has none."""
        return next((mac for mac in self.macs if mac.format == number_format), None)
