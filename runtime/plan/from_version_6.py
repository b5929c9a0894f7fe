"""Plans of version 6 as version 7: facts spread over a layer, its options and sentences become fields of options.

A layer then had the facts of the target that it was on, and again those of all its targets as options; what converters
did to its outputs stood in decisions, and what a parameter was for in a sentence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from tilewright.runtime.plan.blocks import split_columns, split_rows
from tilewright.runtime.plan.reading_older import chip_in, each, reading, without
from tilewright.targets.spec import Chip

OF_A_TARGET = ("choose_programming", "clip_weights", "calibrate", "partition")
"""Steps whose decisions belong to a layer on one target."""
IN_OPTIONS = ("programming", "clip_deviations", "has_channel_scale", "has_calibration")
"""Facts of a layer's target that stood in the layer and in its options."""
MOST_BLOCKS = 2**16
"""Row-blocks, or column-blocks, of one layer: eight million inputs on the smallest of usual tiles."""
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
    chip = chip_in(content)
    with reading("layers"):
        names = {layer["name"] for layer in content["layers"]}
    decisions = each(content, "decisions", _with_use, names)
    about: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for decision in decisions:
        about[decision["subject"]].append(decision)
    weights = each(content, "weights_of_model", _weight)
    originals = {str(weight.get("name")): weight for weight in weights}
    with reading("assignment"):
        assignment = _assignment(content["assignment"]) if content["assignment"] is not None else None
    return {
        **content,
        "layers": each(content, "layers", _layer, about, chip, names),
        "decisions": [d for d in decisions if d["made_by"] not in OF_A_TARGET or d["subject"] not in names],
        "weights_of_model": [_as_original(weight, originals) for weight in weights],
        "assignment": assignment,
    }


def _with_use(decision: dict[str, Any], layers: set[str]) -> dict[str, Any]:
    """A decision with its use in a field; it stood behind the layer's name: NAME use 2."""
    found = re.fullmatch(r"(.*) use (\d+)", decision["subject"])
    named: dict[str, Any] = {"made_by": str(decision["made_by"]), "subject": str(decision["subject"])}
    if found is not None and found[1] in layers:
        named |= {"subject": found[1], "use": int(found[2])}
    return {**decision, **named}


def _layer(
    layer: dict[str, Any], decisions: dict[str, list[dict[str, Any]]], chip: Chip, names: set[str]
) -> dict[str, Any]:
    """A layer with its facts in its options. decisions: those about each layer."""
    about = decisions[layer["name"]]
    here = {key: layer[key] for key in ("target", *IN_OPTIONS)} | {
        "input_ranges": [use["input_range"] for use in layer["uses"]],
        "decisions": [decision for decision in about if decision["made_by"] in OF_A_TARGET],
    }
    splits = {key: layer[key] for key in ("row_splits", "column_splits")}
    others = [option for option in layer["options"] if option["target"] != layer["target"]]
    assigned = [_amounts(one.get("figures", [])) for one in about if one["made_by"] == "assign_targets"]
    return without(layer, *IN_OPTIONS, *splits) | {
        "uses": [without(use, "input_range") for use in layer["uses"]],
        "predicted_loss": next((figures["loss"] for figures in reversed(assigned) if "loss" in figures), None),
        "options": [
            _option(here, names) | splits,
            *(_option(option, names) | _splits(layer, option["target"], chip) for option in others),
        ],
    }


def _splits(layer: dict[str, Any], target: str, chip: Chip) -> dict[str, list[int]]:
    """Rows of each row-block and columns of each column-block on a target, which version 6 did not keep."""
    tile = next((one.tile for one in chip.targets if one.name == target), None)
    if tile is None:
        return {"row_splits": [], "column_splits": []}
    sizes = layer["inputs"], layer["outputs"]
    for size, limit in zip(sizes, (tile.rows, tile.columns), strict=True):
        if type(size) is not int or not 1 <= size <= MOST_BLOCKS * int(limit):
            raise ValueError(f"a layer of {size} rows or columns")
    return {"row_splits": split_rows(sizes[0], tile), "column_splits": split_columns(sizes[1], tile)}


def _option(option: dict[str, Any], names: set[str]) -> dict[str, Any]:
    decisions = [_with_use(decision, names) for decision in option["decisions"]]
    calibrated = {decision.get("use"): decision for decision in decisions if decision["made_by"] == "calibrate"}
    uses = [
        _use(input_range, calibrated.get(number, calibrated.get(None)))
        for number, input_range in enumerate(option["input_ranges"])
    ]
    return without(option, "input_ranges") | {"uses": uses, "decisions": decisions}


def _use(input_range: Any, decision: dict[str, Any] | None) -> dict[str, Any]:
    """Option of a use: the decision on its range also says the largest input and the error."""
    largest = error = None
    if decision is not None:
        tried = {option["choice"]: option["figures"] for option in decision.get("rejected", [])}
        if "abs-max" in tried:
            largest = tried["abs-max"][0]["value"]
        elif decision["choice"] == "input range: abs-max of |x|":
            largest = input_range
        error = _amounts(decision.get("figures", [])).get("simulated error")
    return {"input_range": input_range, "largest_input": largest, "simulated_error": error}


def _amounts(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures, which were a list with names and units, by their names."""
    return {figure["name"]: figure["value"] for figure in figures}


def _assignment(record: dict[str, Any]) -> dict[str, Any]:
    found = _amounts(record["measured"])
    measured = {
        "divergence": found["divergence"], "standard_error": found.get("standard error"),
        "chips": int(found["chips"]), "seed": int(found["seed"]),
    } if found else None  # fmt: skip
    return {
        **record,
        "budgets": _amounts(record["budgets"]),
        "predicted": _amounts(record["predicted"]),
        "measured": measured,
        "compared": {one["choice"]: _amounts(one["figures"]) or None for one in record["compared"]},
    }


def _weight(weight: dict[str, Any]) -> dict[str, Any]:
    reason = weight["reason"]
    copied = re.match(r"stored again: the same numbers as (.*), on the same devices if on any", reason)
    return {
        **weight,
        "role": next((role for beginning, role in ROLES.items() if reason.startswith(beginning)), "operand"),
        "is_table_too": TABLE_TOO in reason,
        "copy_of": copied[1] if copied else None,
    }


def _as_original(weight: dict[str, Any], originals: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A parameter that repeats another's numbers, with what these do."""
    original = originals.get(weight["copy_of"], weight)
    return weight | {key: original[key] for key in ("role", "is_table_too")}
