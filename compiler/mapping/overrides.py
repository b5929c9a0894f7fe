"""Choices for single layers and products by patterns of names: a target, a programming method, an attention unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from tilewright.compiler.network.layers import WeightLayer
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.errors import InputError, nearest

EVERY_LAYER = "*"
"""The pattern that stands for all layers; those that a choice cannot be for are passed by."""


Choice = TypeVar("Choice")


def names_of(layer: LayerRecord | WeightLayer) -> list[str]:
    """Names that a pattern may match: the layer's own, and the model's names of the matrices in it."""
    return [layer.name, *(part.weight.removesuffix(".weight") for part in layer.parts)]


def names_of_layers(layers: Iterable[LayerRecord] | Iterable[WeightLayer]) -> dict[str, list[str]]:
    """Names by which a pattern may find each layer, by layer."""
    return {layer.name: names_of(layer) for layer in layers}


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
