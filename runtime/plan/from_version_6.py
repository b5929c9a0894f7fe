"""Plans of version 6 as version 7: facts spread over a layer, its options and sentences become fields of options.

A layer then had the facts of the target that it was on, and again those of all its targets as options; what converters
did to its outputs stood in decisions, and what a parameter was for in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from tilewright.runtime.plan.splitting import split_columns, split_rows
from tilewright.targets.errors import InputError, first_problem
from tilewright.targets.spec import Chip

OF_A_TARGET = ("choose_programming", "clip_weights", "calibrate", "partition")
"""Steps whose decisions belong to a layer on one target."""
ROLES = {
    "a constant matrix": "matrix",
    "stored again": "matrix",
    "rows are read by number": "look-up",
    "its factor is in": "column scale",
    "part of a layer's bias": "bias",
    "no output": "unused",
    "scale or offset": "normalisation",
    "batch norm": "normalisation",
    "added to": "addend",
    "multiplies activations value by value": "factor",
    "made into a table": "attention table",
}
"""Roles by the beginning of the reason of a parameter; others are operands."""
TABLE_TOO = "; the same numbers are a look-up table in digital memory too"


def as_version_7(content: dict[str, Any]) -> dict[str, Any]:
    """A version 6 plan as version 7. Raises ``InputError`` that names what is not as version 6 wrote it."""
    with _reading("chip"):
        chip = Chip.model_validate(content["chip"])
    with _reading("layers"):
        names = {layer["name"] for layer in content["layers"]}
    decisions = [_each("decisions", n, _with_use, decision, names) for n, decision in _entries(content, "decisions")]
    about: dict[str, list[dict[str, Any]]] = {}
    for decision in decisions:
        if decision["made_by"] in (*OF_A_TARGET, "assign_targets"):
            about.setdefault(decision["subject"], []).append(decision)
    layers = [
        _each("layers", n, _layer, layer, about.get(layer["name"], []), chip, names)
        for n, layer in _entries(content, "layers")
    ]
    weights = [_each("weights_of_model", n, _weight, weight) for n, weight in _entries(content, "weights_of_model")]
    with _reading("assignment"):
        assignment = _assignment(content["assignment"]) if content["assignment"] is not None else None
    return {
        **content,
        "schema_version": 7,
        "layers": layers,
        "decisions": [d for d in decisions if d["made_by"] not in OF_A_TARGET or d["subject"] not in names],
        "weights_of_model": weights,
        "assignment": assignment,
    }


@contextmanager
def _reading(key: str) -> Iterator[None]:
    """Whatever is wrong meanwhile is wrong with this part of the document."""
    try:
        yield
    except ValidationError as error:
        raise InputError(f"{key}.{first_problem(error, Chip)}") from error
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise InputError(f"{key} is not as a plan of version 6 or before has it: {error!r}") from error


def _entries(content: dict[str, Any], key: str) -> list[tuple[int, Any]]:
    with _reading(key):
        return list(enumerate(content[key]))


def _each(key: str, number: int, read: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    with _reading(f"{key}.{number}"):
        return read(*arguments)


def _with_use(decision: dict[str, Any], layers: set[str]) -> dict[str, Any]:
    """A decision with its use in a field; it stood behind the layer's name: NAME use 2."""
    found = re.fullmatch(r"(.*) use (\d+)", decision["subject"])
    if found is None or found[1] not in layers:
        return decision
    return {**decision, "subject": found[1], "use": int(found[2])}


def _layer(layer: dict[str, Any], about: list[dict[str, Any]], chip: Chip, names: set[str]) -> dict[str, Any]:
    ranges = [use["input_range"] for use in layer["uses"]]
    here = {key: layer[key] for key in ("target", "programming", "clip_deviations", "has_channel_scale")} | {
        "has_calibration": layer["has_calibration"],
        "input_ranges": ranges,
        "decisions": [decision for decision in about if decision["made_by"] in OF_A_TARGET],
    }
    others = [option for option in layer["options"] if option["target"] != layer["target"]]
    options = [_option(option, layer, chip, names) for option in (here, *others)]
    if any(target.name == layer["target"] for target in chip.targets):
        options[0] |= {key: layer[key] for key in ("row_splits", "column_splits")}
    losses = [
        figure["value"]
        for decision in about
        if decision["made_by"] == "assign_targets"
        for figure in decision.get("figures", [])
        if figure["name"] == "loss"
    ]
    kept = ("name", "inputs", "outputs", "has_bias", "parts", "target", "reason", "tiles")
    return {key: layer[key] for key in kept} | {
        "uses": [{"sample_axis": use["sample_axis"]} for use in layer["uses"]],
        "predicted_loss": losses[-1] if losses else None,
        "options": options,
    }


def _option(option: dict[str, Any], layer: dict[str, Any], chip: Chip, names: set[str]) -> dict[str, Any]:
    decisions = [_with_use(decision, names) for decision in option["decisions"]]
    target = next((target for target in chip.targets if target.name == option["target"]), None)
    rows, columns = (
        (split_rows(layer["inputs"], target.tile), split_columns(layer["outputs"], target.tile))
        if target is not None and target.tile is not None
        else ([], [])
    )
    kept = ("target", "programming", "clip_deviations", "has_channel_scale", "has_calibration")
    uses = [_use(input_range, number, decisions) for number, input_range in enumerate(option["input_ranges"])]
    return {key: option[key] for key in kept} | {
        "uses": uses,
        "row_splits": rows,
        "column_splits": columns,
        "decisions": decisions,
    }


def _use(input_range: Any, number: int, decisions: list[dict[str, Any]]) -> dict[str, Any]:
    """Option of a use: the decision on its range also says the largest input and the error."""
    largest = error = None
    for decision in decisions:
        if decision["made_by"] == "calibrate" and decision.get("use") in (number, None):
            tried = {option["choice"]: option["figures"] for option in decision.get("rejected", [])}
            if "abs-max" in tried:
                largest = tried["abs-max"][0]["value"]
            elif decision["choice"] == "input range: abs-max of |x|":
                largest = input_range
            errors = [f["value"] for f in decision.get("figures", []) if f["name"] == "simulated error"]
            error = errors[0] if errors else None
    return {"input_range": input_range, "largest_input": largest, "simulated_error": error}


def _assignment(record: dict[str, Any]) -> dict[str, Any]:
    """Record of an assignment, whose figures were lists with names and units."""

    def amounts(figures: list[dict[str, Any]]) -> dict[str, Any]:
        return {figure["name"]: figure["value"] for figure in figures}

    found = amounts(record["measured"])
    measured = {
        "divergence": found["divergence"], "standard_error": found.get("standard error"),
        "chips": int(found["chips"]), "seed": int(found["seed"]),
    } if found else None  # fmt: skip
    return {
        **record,
        "budgets": amounts(record["budgets"]),
        "predicted": amounts(record["predicted"]),
        "measured": measured,
        "compared": {one["choice"]: amounts(one["figures"]) or None for one in record["compared"]},
    }


def _weight(weight: dict[str, Any]) -> dict[str, Any]:
    reason = weight["reason"]
    role = next((role for beginning, role in ROLES.items() if reason.startswith(beginning)), "operand")
    copied = re.match(r"stored again: the same numbers as (.*), on the same devices if on any", reason)
    return {
        **weight,
        "role": role,
        "is_table_too": TABLE_TOO in reason,
        "copy_of": copied[1] if copied else None,
    }
