"""Which target of the chip each layer runs on."""

from __future__ import annotations

from tilewright.compiler.lowering.fuse_shared_inputs import tiles_needed
from tilewright.compiler.mapping.overrides import chosen_for, names_of_layers
from tilewright.compiler.network.compilation import Compilation
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import AnalogTarget, DigitalTarget


def assign_targets(compilation: Compilation) -> None:
    """Put every layer on the chip's first target, or on the one that was asked for it."""
    targets = [target.name for target in compilation.chip.targets]
    for pattern, target in compilation.wanted_targets.items():
        if target not in targets:
            raise InputError(
                f"target {target!r} is asked for {pattern!r}, but is not on chip {compilation.chip.name}; "
                f"{nearest(target, targets)}"
            )
    chosen = chosen_for(names_of_layers(compilation.layers.values()), compilation.wanted_targets, "target")
    for layer in compilation.layers.values():
        layer.target, pattern = chosen.get(layer.name, (targets[0], ""))
        why = f"asked for by {pattern!r}" if pattern else "the only target offered" if len(targets) == 1 else (
            "the chip's first target; nothing else was asked for"
        )  # fmt: skip
        layer.reason = _reason(compilation, layer, why)
        compilation.decisions.append(
            Decision(
                made_by="assign_targets",
                subject=layer.name,
                choice=layer.target,
                reason=why,
                figures=[_tiles(layer, compilation.target_of(layer))],
                rejected=[
                    Alternative(choice=target.name, figures=[_tiles(layer, target)])
                    for target in compilation.chip.targets
                    if target.name != layer.target
                ],
            )
        )


def _tiles(layer: LayerRecord, target: AnalogTarget | DigitalTarget) -> Figure:
    needed = tiles_needed(layer, target.tile) if isinstance(target, AnalogTarget) else 0
    return Figure(name="tiles", value=needed, unit="tile")


def _reason(compilation: Compilation, layer: LayerRecord, why: str) -> str:
    if isinstance(compilation.target_of(layer), DigitalTarget):
        return f"its weights are constant; {layer.target} is {why}"
    return f"its weights are constant, so they can stay in crossbars; {layer.target} is {why}"
