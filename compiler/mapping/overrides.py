"""What is asked for single layers: a target, a programming method, a unit of attention, by patterns of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from tilewright.compiler.network.layers import WeightLayer
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.errors import InputError, nearest

EVERY_LAYER = "*"
"""The pattern of what is asked for all layers: it may meet layers that it is not for, and passes them by."""


Choice = TypeVar("Choice")


def names_of(layer: LayerRecord | WeightLayer) -> list[str]:
    """What a pattern may match: the layer's name, and the model's names of the matrices in it."""
    return [layer.name, *(part.weight.removesuffix(".weight") for part in layer.parts)]


def names_of_layers(layers: Iterable[LayerRecord] | Iterable[WeightLayer]) -> dict[str, list[str]]:
    """Layer -> the names by which a pattern may find it."""
    return {layer.name: names_of(layer) for layer in layers}


def chosen_for(
    names: Mapping[str, Sequence[str]], wanted: Mapping[str, Choice], what: str, thing: str = "layer"
) -> dict[str, tuple[Choice, str]]:
    """Thing -> (choice, the pattern that made it); of several patterns that match it the last one counts.

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
