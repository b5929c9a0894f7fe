"""Layers and products as lowering finds them in a graph: not yet on any target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilewright.runtime.plan.records import LayerPart


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


@dataclass(frozen=True)
class Product:
    """A product of two activations. heads: their number, if the graph shows it, else None."""

    name: str
    kind: Literal["scores", "context", "product"]
    heads: int | None
