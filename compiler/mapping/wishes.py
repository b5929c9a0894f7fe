"""Wishes for a mapping: the chip, and targets, programming methods and attention units by patterns of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tilewright.targets.spec import AttentionUnit, Chip, Programming


@dataclass(frozen=True)
class Wishes:
    """Wishes for a network; of several patterns that match a name the last one counts."""

    chip: Chip
    units: Mapping[str, AttentionUnit]
    """Pattern of products' names -> the unit they run on; one for all of them comes first."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """Pattern of layer names -> target."""
    programming: Mapping[str, Programming] = field(default_factory=dict)
    """Pattern of layer names -> programming method."""
