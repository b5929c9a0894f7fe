"""Account of the model's parameters: onto tiles, into a look-up table, or to digital units and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tilewright.runtime.plan.records import WeightRecord
from tilewright.targets.spec import AnalogTarget, DigitalTarget

Targets = Mapping[str, AnalogTarget | DigitalTarget]
"""Targets of layers, by layer."""


def account_for_weights(parameters: Iterable[WeightRecord], targets: Targets, total: int) -> list[WeightRecord]:
    """Records of all parameters with their places. Raises ``ValueError`` if they do not add up to ``total``."""
    records = [where_it_is(parameter, targets) for parameter in parameters]
    counted = sum(record.parameters for record in records)
    if counted != total:
        raise ValueError(f"{counted} parameters were accounted for, the model has {total}")
    return records


def where_it_is(weight: WeightRecord, targets: Targets) -> WeightRecord:
    """The record with its layers on these targets: the place and the reason follow from them."""
    if not weight.layers:
        return weight
    on = [targets[name] for name in weight.layers]
    is_analog = any(target.tile is not None for target in on)
    reason = "a constant matrix that multiplies activations"
    if not is_analog:
        reason += f", on {on[0].name}"
    if weight.is_table_too:
        reason += "; the same numbers are a look-up table in digital memory too"
    place = "analog" if is_analog else "digital"
    return weight.model_copy(update={"place": place, "reason": reason if weight.copy_of is None else weight.reason})
