"""What is asked for single layers: a target or a programming method, by patterns of names."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from tilewright.runtime.plan import LayerRecord
from tilewright.targets.errors import InputError, nearest

EVERY_LAYER = "*"
"""The pattern of what is asked for all layers: it may meet layers that it is not for, and passes them by."""


def names_of(layer: LayerRecord) -> list[str]:
    """What a pattern may match: the layer's name, and the model's names of the matrices in it."""
    return [layer.name, *(part.weight.removesuffix(".weight") for part in layer.parts)]


def chosen_for(layers: Mapping[str, LayerRecord], wanted: Mapping[str, str], what: str) -> dict[str, tuple[str, str]]:
    """Layer -> (choice, the pattern that made it); of several patterns that match a layer the last one counts.

    wanted: pattern (with ``*`` and ``?``) -> choice. Raises ``InputError`` for a pattern that matches no layer.
    """
    chosen: dict[str, tuple[str, str]] = {}
    for pattern, choice in wanted.items():
        matching = [layer.name for layer in layers.values() if any(fnmatchcase(n, pattern) for n in names_of(layer))]
        if not matching and pattern != EVERY_LAYER:
            known = nearest(pattern, {name for layer in layers.values() for name in names_of(layer)})
            raise InputError(f"{what} {choice!r} is asked for {pattern!r}, which matches no layer; {known}")
        chosen |= dict.fromkeys(matching, (choice, pattern))
    return chosen
