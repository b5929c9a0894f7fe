"""Targets of layers and products: tiles, digital units, attention units, and the chips that combine them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tilewright.targets.quantity import Count, Rule
from tilewright.targets.spec.cost import Cost
from tilewright.targets.spec.description import Description, Document, NumberFormat, Sentence
from tilewright.targets.spec.device import Device, StuckDevices
from tilewright.targets.spec.programming import Programming
from tilewright.targets.spec.tile import Tile

Mesh = Annotated[Count, Rule("tile", 1, 100000)]
Units = Annotated[Count, Rule("unit", 1, 100000)]


class AttentionUnit(Document):
    """A digital unit that multiplies two activations, as attention does.

    kind: "attention". operands: number format of both. source: where it is from.
    """

    kind: Literal["attention"]
    operands: NumberFormat
    scales: Literal["per_tensor", "per_head"] = Field(
        "per_tensor", description="ranges of whole numbers: one an operand, or one a head of attention, calibrated"
    )
    probabilities: Literal["signed", "unsigned"] = Field(
        "signed", description="sign of a softmax's results, which are never negative: unsigned, they have a bit more"
    )
    source: Sentence


class AttentionUnits(Description):
    """The attention units of a chip."""

    unit: AttentionUnit
    count: Units


class OwnChip(Description):
    """Chip of an analog target that is named alone."""

    mesh_rows: Mesh
    mesh_columns: Mesh
    attention: AttentionUnits
    cost: Cost | None = None


class Target(Document):
    """A target that layers run on: tiles of one kind of device (``AnalogTarget``), or a unit (``DigitalTarget``)."""


class AnalogTarget(Target):
    """Tiles of one kind of device, as a target of layers.

    kind: "analog". device: statistics of one memory device. stuck_devices: shares that cannot be written; None if all
    can. tile: the crossbar and its converters. chip: mesh, attention units and costs where the target is named alone.
    """

    references: ClassVar[dict[str, str]] = {
        "programming": "programming",
        "chip.attention.unit": "attention",
        "chip.cost": "cost",
    }

    kind: Literal["analog"]
    device: Device
    stuck_devices: StuckDevices | None
    programming: Programming = Field(description="method for the layers that ask for no other")
    tile: Tile
    drift_compensation: Literal["none", "global", "per_column", "affine"] = Field(
        description="a factor a tile or a column from one-hot readings; or factor and offset a column, fitted to "
        "readings of calibration inputs at each time"
    )
    chip: OwnChip


class OwnUnits(Description):
    """Chip of a digital unit that is named alone."""

    count: Units
    attention: AttentionUnits
    cost: Cost | None = None


class DigitalTarget(Target):
    """A digital unit for layers: weights and inputs rounded to its formats, sums without rounding.

    kind: "digital". source: where it is from. chip: number of units, attention units and costs where the target is
    named alone.
    """

    references: ClassVar[dict[str, str]] = {"chip.attention.unit": "attention", "chip.cost": "cost"}

    tile: ClassVar[None] = None
    """None: digital units have no tiles, and nothing that belongs to these."""
    programming: ClassVar[None] = None
    drift_compensation: ClassVar[None] = None

    kind: Literal["digital"]
    weights: NumberFormat = Field(description="number format of the weights; whole numbers have a scale a column")
    inputs: NumberFormat = Field(description="number format of the inputs; whole numbers have a calibrated range")
    source: Sentence
    chip: OwnUnits


class Tiles(Description):
    """Tiles of one target on a chip's mesh."""

    target: AnalogTarget
    mesh_rows: Mesh
    mesh_columns: Mesh

    @property
    def count(self) -> int:
        """Number of tiles of this kind on one chip."""
        return int(self.mesh_rows * self.mesh_columns)


class DigitalUnits(Description):
    """Digital units of one kind on a chip."""

    unit: DigitalTarget
    count: Units


class Chip(Document):
    """Tiles and units on one piece of silicon. Tiles of several targets lie side by side on its mesh.

    kind: "chip". tiles: kinds of tiles, from left to right on the mesh. digital: kinds of digital units. attention: the
    attention units, of one kind.
    """

    references: ClassVar[dict[str, str]] = {
        "tiles.*.target": "analog",
        "digital.*.unit": "digital",
        "attention.unit": "attention",
        "cost": "cost",
    }

    kind: Literal["chip"]
    tiles: Annotated[list[Tiles], Field(max_length=16)]
    digital: Annotated[list[DigitalUnits], Field(max_length=16)]
    attention: AttentionUnits
    cost: Cost | None = Field(None, description="costs of a run; null: nothing is known of them")

    @model_validator(mode="after")
    def _has_places(self) -> Self:
        names = [target.name for target in self.targets]
        if not names:
            raise ValueError("tiles and digital are both empty: no layer could run")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two targets are named {twice[0]!r}")
        return self

    @property
    def targets(self) -> list[AnalogTarget | DigitalTarget]:
        """All targets that a layer can run on; the first one is the default."""
        return [tiles.target for tiles in self.tiles] + [units.unit for units in self.digital]

    def target(self, name: str) -> AnalogTarget | DigitalTarget:
        """The target of that name. Raises ``KeyError`` if there is none."""
        return {target.name: target for target in self.targets}[name]

    @property
    def mesh(self) -> tuple[int, int]:
        """Rows and columns of the whole mesh; (0, 0) without tiles."""
        rows = max((int(tiles.mesh_rows) for tiles in self.tiles), default=0)
        return rows, sum(int(tiles.mesh_columns) for tiles in self.tiles)
