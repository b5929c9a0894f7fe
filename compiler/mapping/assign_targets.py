"""Choice of the chip's target that each layer runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.mapping.overrides import chosen_for, names_of_layers
from tilewright.compiler.network.layers import WeightLayer
from tilewright.runtime.plan.blocks import tiles_needed
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import AnalogTarget, Chip, DigitalTarget


@dataclass(frozen=True)
class Assigned:
    """A layer's target and the reason for it."""

    target: AnalogTarget | DigitalTarget
    asked_for: bool
    reason: str
    decision: Decision


def assign_targets(layers: Mapping[str, WeightLayer], chip: Chip, wanted: Mapping[str, str]) -> dict[str, Assigned]:
    """The chip's first target for every layer, or the one that was asked for it.

    wanted: pattern of layer names -> target. Raises ``InputError`` for patterns that match nothing.
    """
    chosen = chosen_for(names_of_layers(layers.values()), wanted, "target")
    first = chip.targets[0].name
    return {name: _assigned(layer, chip, *chosen.get(name, (first, ""))) for name, layer in layers.items()}


def check_targets(chip: Chip, wanted: Mapping[str, str]) -> None:
    """Raise ``InputError`` if a target that is wanted, by pattern of layer names, is not on the chip."""
    targets = [target.name for target in chip.targets]
    for pattern, target in wanted.items():
        if target not in targets:
            raise InputError(
                f"target {target!r} is asked for {pattern!r}, but is not on chip {chip.name}; "
                f"{nearest(target, targets)}"
            )


def _assigned(layer: WeightLayer, chip: Chip, name: str, pattern: str) -> Assigned:
    others = [target for target in chip.targets if target.name != name]
    why = f"asked for by {pattern!r}" if pattern else "the only target offered" if not others else (
        "the chip's first target; nothing else was asked for"
    )  # fmt: skip
    target = chip.target(name)
    stays = ", so they can stay in crossbars" if target.tile is not None else ""
    figures = {one.name: [_tiles(layer, one)] for one in chip.targets}
    decision = Decision.among(figures, name, made_by="assign_targets", subject=layer.name, reason=why)
    return Assigned(target, bool(pattern), f"its weights are constant{stays}; {name} is {why}", decision)


def _tiles(layer: WeightLayer, target: AnalogTarget | DigitalTarget) -> Figure:
    needed = tiles_needed(layer.inputs, layer.outputs, target.tile) if target.tile is not None else 0
    return Figure(name="tiles", value=needed, unit="tile")
