"""The same network with layers on other targets of its chip: a new plan from a plan, without the model."""

from __future__ import annotations

from collections.abc import Mapping

from tilewright.compiler.mapping.account_for_weights import TABLE_TOO, place_on
from tilewright.compiler.mapping.offer_targets import FIXED_A_TARGET, is_about
from tilewright.compiler.mapping.overrides import names_of_layers
from tilewright.compiler.mapping.partition import split_layer
from tilewright.compiler.mapping.place import lay_out
from tilewright.runtime.plan.check import check_plan
from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord, TargetOption, WeightRecord
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import AnalogTarget, Chip

REDONE = (*FIXED_A_TARGET, "assign_targets", "partition")


def retarget(plan: Plan, decisions: Mapping[str, Decision]) -> Plan:
    """A plan with each of these layers on the target that its decision chose; the given plan stays as it is.

    decisions: layer -> choice, whose ``choice`` is one of the layer's options. Raises ``InputError`` if it is not.
    """
    document = plan.document
    chip = document.chip
    layers = [layer.model_copy(deep=True) for layer in document.layers]
    known = names_of_layers(layers)
    for name in decisions:
        if name not in known:
            raise InputError(f"the plan has no layer {name!r}; {nearest(name, known)}")
    made: list[Decision] = []
    for layer in layers:
        if layer.name in decisions:
            decision = decisions[layer.name]
            layer.reason = decision.reason
            made += [decision, *_move(layer, option_of(layer, decision.choice), chip)]
    kept = [
        decision
        for decision in document.decisions
        if decision.made_by != "place"
        and not (decision.made_by in REDONE and any(is_about(decision, name) for name in decisions))
    ]
    placement, placed = lay_out(layers, chip)
    targets = {layer.name: chip.target(layer.target) for layer in layers}
    weights = [_weight(weight, targets) for weight in document.weights_of_model]
    changed = document.model_copy(
        update={
            "layers": layers,
            "placement": placement,
            "decisions": [*kept, *made, *placed],
            "weights_of_model": weights,
        }
    )
    moved = Plan(changed, plan.tensors, plan.tokenizer_files)
    check_plan(moved.document, moved.tensors)
    return moved


def option_of(layer: LayerRecord, target: str) -> TargetOption:
    """How a layer would run on a target. Raises ``InputError`` if the plan does not know."""
    for option in layer.options:
        if option.target == target:
            return option
    known = nearest(target, [option.target for option in layer.options]) if layer.options else (
        "the plan is of an older version, which knew one target a layer; compile it again"
    )  # fmt: skip
    raise InputError(f"layer {layer.name!r} cannot run on {target!r}; {known}")


def on_target(layer: LayerRecord, target: str, chip: Chip) -> LayerRecord:
    """The layer as it would be on a target, its blocks not placed. Raises ``InputError`` if the plan does not know."""
    moved = layer.model_copy(deep=True)
    _move(moved, option_of(layer, target), chip)
    return moved


def _move(layer: LayerRecord, option: TargetOption, chip: Chip) -> list[Decision]:
    """Put a layer on another target. Returns the decisions that hold there."""
    layer.target = option.target
    layer.programming, layer.clip_deviations = option.programming, option.clip_deviations
    layer.has_channel_scale, layer.has_calibration = option.has_channel_scale, option.has_calibration
    for use, input_range in zip(layer.uses, option.input_ranges, strict=True):
        use.input_range = input_range
    layer.row_splits, layer.column_splits, layer.tiles = [], [], []
    target = chip.target(option.target)
    return (
        [*option.decisions, split_layer(layer, target.tile)] if isinstance(target, AnalogTarget) else option.decisions
    )


def _weight(weight: WeightRecord, targets: Mapping[str, object]) -> WeightRecord:
    if not weight.layers:
        return weight
    place, reason = place_on([targets[name] for name in weight.layers])  # type: ignore[misc]
    table = TABLE_TOO if weight.reason.endswith(TABLE_TOO) else ""
    if weight.reason.startswith("stored again"):
        reason, table = weight.reason, ""
    return weight.model_copy(update={"place": place, "reason": reason + table})
