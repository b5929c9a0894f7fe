"""Choice of the method by which each layer on tiles is programmed, on every target that is open to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tilewright.compiler.mapping.assign_targets import Assigned
from tilewright.compiler.mapping.overrides import EVERY_LAYER, chosen_for, names_of_layers
from tilewright.compiler.network.layers import Options, WeightLayer
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import LayerOption, UseOption
from tilewright.targets.errors import InputError
from tilewright.targets.spec import Chip, Programming

OPEN = UseOption(input_range=None, largest_input=None, simulated_error=None)


def choose_programming(
    layers: Mapping[str, WeightLayer],
    assigned: Mapping[str, Assigned],
    chip: Chip,
    wanted: Mapping[str, Programming],
) -> tuple[Options, dict[str, Programming]]:
    """Options of each layer, its own target and the chip's others where nobody asked for one; the methods by name.

    wanted: pattern of layer names -> method. An option has its target and method; all else is still open, so that a
    later choice of target needs no model. Raises ``InputError`` for a pattern that matches no layer or names one on a
    digital unit, and for two methods of one name.
    """
    named = _by_name(wanted.values())
    names = {pattern: method.name for pattern, method in wanted.items()}
    chosen = chosen_for(names_of_layers(layers.values()), names, "programming method")
    for name, (asked, pattern) in chosen.items():
        own = assigned[name].target
        if pattern != EVERY_LAYER and own.tile is None:
            raise InputError(
                f"programming method {asked!r} is asked for {pattern!r}, but layer {name!r} is on the digital unit "
                f"{own.name}"
            )
    offered = [(layer, assigned[layer.name].target) for layer in layers.values()]
    offered += [
        (layer, target)
        for target in chip.targets
        for layer in layers.values()
        if target.name != assigned[layer.name].target.name and not assigned[layer.name].asked_for
    ]
    options, methods = {}, []
    for layer, target in offered:
        decisions = []
        if target.tile is not None:
            asked, pattern = chosen.get(layer.name, ("", ""))
            methods.append(named.get(asked, target.programming))
            decisions = [_decision(layer.name, methods[-1], target.programming, pattern, target.name)]
        options[layer.name, target.name] = LayerOption(
            target=target.name,
            programming=methods[-1].name if target.tile is not None else None,
            clip_deviations=None,
            has_channel_scale=False,
            has_calibration=False,
            uses=[OPEN] * layer.uses,
            row_splits=[],
            column_splits=[],
            decisions=decisions,
        )
    return options, _by_name(methods)


def _decision(layer: str, method: Programming, own: Programming, pattern: str, target: str) -> Decision:
    return Decision(
        made_by="choose_programming",
        subject=layer,
        choice=method.name,
        reason=f"asked for by {pattern!r}" if pattern else f"the method of {target}",
        figures=_figures(method),
        rejected=[Alternative(choice=own.name, figures=_figures(own))] if method.name != own.name else [],
    )


def _by_name(methods: Iterable[Programming]) -> dict[str, Programming]:
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
