"""Wishes for layers and products by patterns of names: a target, a programming method, an attention unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from tilewright.compiler.network.layers import WeightLayer
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import AttentionUnit, Chip, Programming

EVERY_LAYER = "*"
"""The pattern that stands for all layers; those that a choice cannot be for are passed by."""

Choice = TypeVar("Choice")


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


def names_of_layers(layers: Iterable[LayerRecord] | Iterable[WeightLayer]) -> dict[str, list[str]]:
    """Names by which a pattern may find each layer, by layer: its own, and the model's of the matrices in it."""
    return {
        layer.name: [layer.name, *(part.weight.removesuffix(".weight") for part in layer.parts)] for layer in layers
    }


def chosen_for(
    names: Mapping[str, Sequence[str]], wanted: Mapping[str, Choice], what: str, thing: str = "layer"
) -> dict[str, tuple[Choice, str]]:
    """Choice and the pattern that made it, by thing; of several patterns that match it the last one counts.

    names: thing -> the names by which it may be found; wanted: pattern (with ``*`` and ``?``) -> choice. Raises
    ``InputError`` for a pattern that finds nothing.
    """
    chosen: dict[str, tuple[Choice, str]] = {}
    for pattern, choice in wanted.items():
        matching = [thing for thing, known in names.items() if any(fnmatchcase(name, pattern) for name in known)]
        if not matching and pattern != EVERY_LAYER:
            near = nearest(pattern, {name for known in names.values() for name in known})
            asked = f"{what} {choice!r}" if isinstance(choice, str) else what
            raise InputError(f"{asked} is asked for {pattern!r}, which matches no {thing}; {near}")
        chosen |= dict.fromkeys(matching, (choice, pattern))
    return chosen
