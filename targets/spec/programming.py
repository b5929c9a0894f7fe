"""Programming methods: how a weight becomes conductances of several devices, and how these are written."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tilewright.targets.quantity import Count, Quantity, Rule
from tilewright.targets.spec.description import Description, Document


class Pairs(Description):
    """N pairs of devices a weight: w = Σ_k s_k (g⁺_k - g⁻_k) / Σ_k s_k."""

    kind: Literal["pairs"]
    significances: Annotated[list[Annotated[Quantity, Rule("1", 1e-3, 1e3)]], Field(min_length=1, max_length=16)]
    filling: Literal["shared", "in_order"] = Field(
        description="use of the pairs: all hold w, which averages their noise; or one is filled after another (AIHWKit)"
    )


class MostLeast(Description):
    """Two pairs a weight, the less significant one for the error of the other: w = w_most + w_least / ratio.

    The less significant pair is written last, with the error that a reading of the other shows.
    """

    kind: Literal["most_least"]
    ratio: Annotated[Quantity, Rule("1", 1, 1e3)] = Field(description="significance of the first over the second pair")
    readings: Annotated[Count, Rule("reading", 1, 1000)] = Field(
        description="readings that are averaged before the second write"
    )


class BinaryAnalog(Description):
    """X binary pairs and an analog one: |w| = Σ_{k ≤ X} b_k 2^-k + 2^-X a (FTJ thesis)."""

    kind: Literal["binary_analog"]
    binary: Annotated[Count, Rule("pair", 1, 8)]


class Direct(Description):
    """Programming in which every device is written once."""

    kind: Literal["direct"]


class ClosedLoop(Description):
    """Programming by gradient descent: write, read through noise and converters, correct with pulses, again."""

    kind: Literal["closed_loop"]
    inputs: Literal["one_hot", "random"] = Field(
        description="inputs of the readings: one row at a time (tGDP), or random vectors (GDP)"
    )
    iterations: Annotated[Count, Rule("iteration", 1, 1000)]
    learning_rate: Annotated[Quantity, Rule("1", 1e-3, 1)] = Field(
        description="learning rate at the start; it falls to zero at the end"
    )
    vectors: Annotated[Count, Rule("vector", 1, 65536)] = Field(
        description="random input vectors that are read in an iteration"
    )


class Programming(Document):
    """A programming method: how many devices hold a weight, what each of them holds, and how it is written.

    kind: "programming". coding: pairs of devices a weight, and what each holds. writing: once, or in closed loop.
    """

    kind: Literal["programming"]
    coding: Annotated[Pairs | MostLeast | BinaryAnalog, Field(discriminator="kind")]
    writing: Annotated[Direct | ClosedLoop, Field(discriminator="kind")]
    states_per_device: Annotated[Count, Rule("state", 2, 65536)] | None = Field(
        description="number of conductances that can be asked for, evenly spaced from 0; null: any"
    )
    stuck_devices: Literal["ignored", "avoided", "compensated", "avoided_and_compensated"] = Field(
        description="use of stuck devices' positions: unknown; or known, and columns are placed where they hurt least; "
        "or the healthy devices of a weight make up for them"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.coding.kind != "pairs":
            if self.writing.kind == "closed_loop":
                raise ValueError("writing.kind closed_loop needs coding.kind pairs")
            if "compensated" in self.stuck_devices:
                raise ValueError(f"stuck_devices {self.stuck_devices} needs coding.kind pairs")
        elif self.coding.filling == "in_order" and self.writing.kind == "closed_loop":
            raise ValueError("writing.kind closed_loop needs coding.filling shared")
        return self

    @property
    def pairs(self) -> int:
        """Number of pairs of devices a weight."""
        if isinstance(self.coding, Pairs):
            return len(self.coding.significances)
        return 2 if isinstance(self.coding, MostLeast) else int(self.coding.binary) + 1

    @property
    def compensates_stuck_devices(self) -> bool:
        """True if healthy devices make up for stuck ones."""
        return self.stuck_devices in ("compensated", "avoided_and_compensated")

    @property
    def avoids_stuck_devices(self) -> bool:
        """True if columns are placed where stuck devices hurt least."""
        return self.stuck_devices in ("avoided", "avoided_and_compensated")
