"""Account of the model's parameters: onto tiles, into a look-up table, or to digital units and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from tilewright.compiler.lowering.parameters import Parameter
from tilewright.runtime.plan.records import WeightRecord
from tilewright.targets.spec import AnalogTarget, DigitalTarget

Targets = Mapping[str, AnalogTarget | DigitalTarget]
"""Targets of layers, by layer."""
Place = Literal["analog", "digital", "look-up"]


def account_for_weights(parameters: Iterable[Parameter], targets: Targets, total: int) -> list[WeightRecord]:
    """One record a parameter. Raises ``ValueError`` if their numbers do not add up to ``total``."""
    records = []
    for parameter in parameters:
        record = WeightRecord(
            name=parameter.name,
            shape=list(parameter.shape),
            place="look-up" if parameter.role == "look-up" else "digital",
            role=parameter.role,
            is_table_too=parameter.is_table_too,
            copy_of=parameter.copy_of,
            reason=f"stored again: the same numbers as {parameter.copy_of}, on the same devices if on any"
            if parameter.copy_of is not None
            else parameter.reason,
            layers=list(parameter.layers),
        )
        records.append(where_it_is(record, targets))
    counted = sum(record.parameters for record in records)
    if counted != total:
        raise ValueError(f"{counted} parameters were accounted for, the model has {total}")
    return records


def where_it_is(weight: WeightRecord, targets: Targets) -> WeightRecord:
    """The record with its layers on these targets: the place and the reason follow from them."""
    if not weight.layers:
        return weight
    place, reason = _place_on([targets[name] for name in weight.layers])
    if weight.is_table_too:
        reason += "; the same numbers are a look-up table in digital memory too"
    if weight.copy_of is not None:
        return weight.model_copy(update={"place": place})
    return weight.model_copy(update={"place": place, "reason": reason})


def _place_on(targets: list[AnalogTarget | DigitalTarget]) -> tuple[Place, str]:
    """Tiles or digital units: tiles if any target is analog; and the reason."""
    reason = "a constant matrix that multiplies activations"
    if all(target.tile is None for target in targets):
        return "digital", f"{reason}, on {targets[0].name}"
    return "analog", reason
