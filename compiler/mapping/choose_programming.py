"""Choice of the method by which each layer on tiles is programmed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tilewright.compiler.mapping.assign_targets import Assigned
from tilewright.compiler.mapping.overrides import EVERY_LAYER, chosen_for, names_of_layers
from tilewright.compiler.network.layers import WeightLayer
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.targets.errors import InputError
from tilewright.targets.spec import AnalogTarget, Programming

Wish = tuple[Programming, str]
"""Programming method, and the pattern that asked for it."""


def wanted_methods(
    layers: Mapping[str, WeightLayer], assigned: Mapping[str, Assigned], wanted: Mapping[str, Programming]
) -> dict[str, Wish]:
    """Programming methods that were asked for, by layer; layers that are left to their target are not in it.

    wanted: pattern of layer names -> method. Raises ``InputError`` for a pattern that matches no layer or names one on
    a digital unit, and for two methods of one name.
    """
    methods = by_name(wanted.values())
    chosen = chosen_for(
        names_of_layers(layers.values()), {p: method.name for p, method in wanted.items()}, "programming method"
    )
    for name, (method, pattern) in chosen.items():
        target = assigned[name].target
        if pattern != EVERY_LAYER and target.tile is None:
            raise InputError(
                f"programming method {method!r} is asked for {pattern!r}, but layer {name!r} is on the digital unit "
                f"{target.name}"
            )
    return {name: (methods[method], pattern) for name, (method, pattern) in chosen.items()}


def choose_programming(layer: str, target: AnalogTarget, wish: Wish | None) -> tuple[Programming, Decision]:
    """The programming method that was asked for a layer on tiles, or its target's own; and the decision."""
    own = target.programming
    method, pattern = wish or (own, "")
    return method, Decision(
        made_by="choose_programming",
        subject=layer,
        choice=method.name,
        reason=f"asked for by {pattern!r}" if pattern else f"the method of {target.name}",
        figures=_figures(method),
        rejected=[Alternative(choice=own.name, figures=_figures(own))] if method.name != own.name else [],
    )


def by_name(methods: Iterable[Programming]) -> dict[str, Programming]:
    """Methods by their names. Raises ``InputError`` if two different ones have the same."""
    named: dict[str, Programming] = {}
    for method in methods:
        if named.setdefault(method.name, method) != method:
            raise InputError(
                f"two different programming methods are named {method.name!r}; give one of them another name"
            )
    return named


def _figures(method: Programming) -> list[Figure]:
    return [Figure(name="pairs of devices a weight", value=method.pairs, unit="pair")]
