"""Retargeting: layers of a plan on other targets of its chip, mapped anew without the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.mapping.account_for_weights import where_it_is
from tilewright.compiler.mapping.place import place
from tilewright.runtime.plan.check import check_plan
from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerOption, LayerRecord, PlanDocument
from tilewright.runtime.plan.types import six_digits
from tilewright.targets.errors import InputError, nearest


@dataclass(frozen=True)
class Move:
    """Move of one layer to one of its options, and the reason. loss: expected there, if it is known."""

    target: str
    reason: str
    decision: Decision
    loss: float | None = None


def retarget(plan: Plan, moves: Mapping[str, Move]) -> Plan:
    """A plan with each of these layers moved; the given plan stays as it is. moves: by layer.

    Raises ``InputError`` for a layer that is not there, or a target that is none of its options.
    """
    if plan.whole is not None:
        return retarget(plan.whole, moves).adapted(plan.adapter)
    known = {layer.name for layer in plan.document.layers}
    for name in moves:
        if name not in known:
            raise InputError(f"the plan has no layer {name!r}; {nearest(name, known)}")
    layers = [_moved(layer, moves[layer.name]) if layer.name in moves else layer for layer in plan.document.layers]
    kept = [
        decision
        for decision in plan.document.decisions
        if not (decision.made_by == "assign_targets" and decision.subject in moves)
    ]
    made = [move.decision for move in moves.values()]
    moved = Plan(placed_anew(plan.document, layers, [*kept, *made]), plan.tensors, plan.tokenizer_files)
    check_plan(moved.document, moved.tensors)
    return moved


def placed_anew(document: PlanDocument, layers: list[LayerRecord], decisions: list[Decision]) -> PlanDocument:
    """A document with these layers laid out from the first tile, and its parameters accounted for again."""
    placed, placement, laid = place(layers, document.chip)
    targets = {layer.name: document.chip.target(layer.target) for layer in placed}
    return document.model_copy(
        update={
            "layers": placed,
            "placement": placement,
            "decisions": [*(decision for decision in decisions if decision.made_by != "place"), *laid],
            "weights_of_model": [where_it_is(weight, targets) for weight in document.weights_of_model],
        }
    )


def option_of(layer: LayerRecord, target: str) -> LayerOption:
    """Option of a layer on a target. Raises ``InputError`` if the plan has none."""
    for option in layer.options:
        if option.target == target:
            return option
    known = nearest(target, [option.target for option in layer.options])
    raise InputError(f"layer {layer.name!r} cannot run on {target!r}; {known}")


def on_target(layer: LayerRecord, target: str) -> LayerRecord:
    """Record of the layer on a target, its blocks not placed. Raises ``InputError`` if the plan has no such option."""
    return layer.model_copy(update={"target": option_of(layer, target).target, "tiles": []})


def _moved(layer: LayerRecord, move: Move) -> LayerRecord:
    placed_later = on_target(layer, move.target)
    loss = None if move.loss is None else six_digits(move.loss)
    return placed_later.model_copy(update={"reason": move.reason, "predicted_loss": loss})
