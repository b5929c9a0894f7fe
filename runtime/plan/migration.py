"""Older plans in today's words. docs/plan_format.md says what changed from version to version."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from tilewright.runtime.plan.blocks import TilePosition, ranges, tile_number, tiles_of
from tilewright.runtime.plan.from_version_6 import as_version_7
from tilewright.runtime.plan.names import LAYER_PREFIX, calibration_key
from tilewright.runtime.plan.reading_older import chip_in, each, reading, without
from tilewright.runtime.plan.records import SCHEMA_VERSION
from tilewright.targets.loading import chip_of, load_programming, parse_target
from tilewright.targets.spec import Chip

Step = Callable[[dict[str, Any]], dict[str, Any]]
READABLE = range(1, SCHEMA_VERSION + 1)
ADDED: dict[int, dict[str, Any]] = {
    1: {"weights_of_model": [], "check": None, "notes": []},
    3: {"assignment": None},
    5: {"size_conditions": None, "unused_tensors": []},
    7: {"draws": 1},
    9: {"adapters": []},
    10: {"loops": []},
}
"""Keys that documents have since the version after this one, with what they would have held."""


def migrated(content: dict[str, Any]) -> dict[str, Any]:
    """A plan document of a readable version as one of this version, to be validated as such.

    Raises ``InputError`` for what an older version would not have held.
    """
    steps: dict[int, Step] = {
        1: _from_version_1,
        2: _from_version_2,
        3: _from_version_3,
        4: _from_version_4,
        5: dict,
        6: as_version_7,
        7: dict,
        8: _from_version_8,
        9: _from_version_9,
        10: _from_version_10,
    }
    while (version := content["schema_version"]) in steps:
        content = {**steps[version](content), **ADDED.get(version, {}), "schema_version": version + 1}
    return content


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """A version 1 plan as version 2: uses said only whether samples come first."""

    def use(record: dict[str, Any]) -> dict[str, Any]:
        axis = {"dimension": 0, "innermost": False} if record["batched"] else None
        return without(record, "batched") | {"sample_axis": axis}

    layers = each(content, "layers", lambda layer: {**layer, "uses": [use(one) for one in layer["uses"]]})
    return {**content, "layers": layers}


def _from_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """A version 2 plan as version 3: its one target was the chip too, programmed in one way; bits, not formats."""
    target = parse_target(content.get("target"), "of the plan")
    added = {"has_calibration": False, "programming": "direct", "clip_deviations": None}

    def matmul(record: dict[str, Any]) -> dict[str, Any]:
        bits = record["bits"]
        return without(record, "bits") | {"operands": "fp32" if bits is None else f"int{bits}"}

    return without(content, "target") | {
        "chip": chip_of(target).model_dump(mode="json"),
        "programming": [load_programming("direct").model_dump(mode="json")],
        "layers": each(content, "layers", lambda layer: {**layer, **added}),
        "matmuls": each(content, "matmuls", matmul),
    }


def _from_version_3(content: dict[str, Any]) -> dict[str, Any]:
    """A version 3 plan as version 4: one range an operand of a matmul, both signed; one target, so no other options."""

    def matmul(record: dict[str, Any]) -> dict[str, Any]:
        lists = {f"{side}_ranges": [record[f"{side}_range"]] for side in ("left", "right")}
        return without(record, "left_range", "right_range") | lists | {"left_signed": True}

    layers = each(content, "layers", lambda layer: {**layer, "options": []})
    with reading("tensors"):
        by_target = {
            f"{LAYER_PREFIX}{layer['name']}.calibration": calibration_key(layer["name"], layer["target"])
            for layer in layers
            if layer["has_calibration"]
        }
        tensors = {by_target.get(key, key): value for key, value in content["tensors"].items()}
    return {**content, "layers": layers, "matmuls": each(content, "matmuls", matmul), "tensors": tensors}


def _from_version_4(content: dict[str, Any]) -> dict[str, Any]:
    """A version 4 plan as version 5: every block had its ranges and its place on the mesh written out."""
    return {**content, "layers": each(content, "layers", _runs, chip_in(content))}


def _from_version_8(content: dict[str, Any]) -> dict[str, Any]:
    """A version 8 plan as version 9: models had no names of classes."""
    return {**content, "model": content["model"] | {"classes": None}}


def _from_version_9(content: dict[str, Any]) -> dict[str, Any]:
    """A version 9 plan as version 10: what was folded into a layer's matrix was not kept, so no adapter fits."""

    def layer(record: dict[str, Any]) -> dict[str, Any]:
        parts = [{**part, "stored": None} for part in record["parts"]]
        return {**record, "has_factors": False, "parts": parts}

    return {**content, "layers": each(content, "layers", layer)}


def _from_version_10(content: dict[str, Any]) -> dict[str, Any]:
    """A version 10 plan as version 11: every layer read all vectors."""

    def layer(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "uses": [{**use, "share": 1.0} for use in record["uses"]]}

    return {**content, "layers": each(content, "layers", layer)}


def _runs(layer: dict[str, Any], chip: Chip) -> dict[str, Any]:
    """A layer with splits and runs of tiles in place of blocks. Raises ``ValueError`` if these are no grid."""
    blocks = sorted(layer["blocks"], key=lambda block: (block["rows"], block["columns"]))
    rows, columns = (
        [stop - start for start, stop in sorted({tuple(block[side]) for block in blocks})]
        for side in ("rows", "columns")
    )
    if len(rows) * len(columns) != len(blocks):  # the grid of any others may be large
        raise ValueError("the blocks are no grid")
    if [(tuple(block["rows"]), tuple(block["columns"])) for block in blocks] != [
        *product(ranges(rows), ranges(columns))
    ]:
        raise ValueError("the blocks are no grid")
    runs: list[list[int]] = []
    for block in blocks:
        number = tile_number(TilePosition(**block["tile"]), *tiles_of(chip, layer["target"]))
        if runs and number == sum(runs[-1]):
            runs[-1][1] += 1
        else:
            runs.append([number, 1])
    return without(layer, "blocks") | {"row_splits": rows, "column_splits": columns, "tiles": runs}
