"""By which method each layer on tiles is programmed."""

from __future__ import annotations

from tilewright.compiler.mapping.overrides import EVERY_LAYER, chosen_for, names_of_layers
from tilewright.compiler.network.compilation import Compilation
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.targets.errors import InputError
from tilewright.targets.spec import AnalogTarget, Programming


def choose_programming(compilation: Compilation) -> None:
    """Take the method that was asked for a layer, or its target's own."""
    wanted = {pattern: method.name for pattern, method in compilation.wanted_programming.items()}
    methods: dict[str, Programming] = {}
    for asked_for in compilation.wanted_programming.values():
        _add(methods, asked_for)
    chosen = chosen_for(names_of_layers(compilation.layers.values()), wanted, "programming method")
    for layer in compilation.layers.values():
        target = compilation.target_of(layer)
        if not isinstance(target, AnalogTarget):
            method, pattern = chosen.get(layer.name, ("", EVERY_LAYER))
            if pattern != EVERY_LAYER:
                raise InputError(
                    f"programming method {method!r} is asked for {pattern!r}, but layer {layer.name!r} is on the "
                    f"digital unit {layer.target}"
                )
            continue
        own = target.programming
        name, pattern = chosen.get(layer.name, (own.name, ""))
        method_chosen = methods[name] if pattern else own
        _add(compilation.methods, method_chosen)
        layer.programming = name
        compilation.decisions.append(
            Decision(
                made_by="choose_programming",
                subject=layer.name,
                choice=name,
                reason=f"asked for by {pattern!r}" if pattern else f"the method of {target.name}",
                figures=_figures(method_chosen),
                rejected=[Alternative(choice=own.name, figures=_figures(own))] if name != own.name else [],
            )
        )


def _add(methods: dict[str, Programming], method: Programming) -> None:
    if methods.setdefault(method.name, method) != method:
        raise InputError(f"two different programming methods are named {method.name!r}; give one of them another name")


def _figures(method: Programming) -> list[Figure]:
    return [Figure(name="pairs of devices a weight", value=method.pairs, unit="pair")]
