"""Layers and products as lowering finds them in a graph, and the records that later steps fill in for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.records import LayerOption, LayerPart, MatmulRecord

Kind = Literal["scores", "context", "product"]
"""Kinds of products of two activations: those of attention, before and behind its softmax, and others."""


@dataclass(frozen=True)
class LayerOrigins:
    """Parameters that a layer's matrix and bias were made of."""

    weight: tuple[str, ...]
    bias: tuple[str, ...]


@dataclass(frozen=True)
class WeightLayer:
    """A constant matrix that multiplies activations, once or at several places (its uses)."""

    name: str
    inputs: int
    outputs: int
    has_bias: bool
    parts: tuple[LayerPart, ...]
    origins: LayerOrigins
    uses: int = 0
    shares: tuple[float, ...] = ()
    """Share of the vectors that each use reads: less than 1 where a router sends some to an expert."""


@dataclass(frozen=True)
class Product:
    """A product of two activations. heads: their number, if the graph shows it, else None."""

    name: str
    kind: Kind
    heads: int | None


Options = dict[tuple[str, str], LayerOption]
"""Options by layer and target: first of every layer on the target it was assigned to, then the others."""


@dataclass(frozen=True)
class Routed:
    """A product on a unit: its record and the decisions for it."""

    record: MatmulRecord
    decisions: list[Decision]
    heads: int | None
    """Heads that have ranges of their own; None where all share one."""
