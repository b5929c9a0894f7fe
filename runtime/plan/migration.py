"""Older plans in today's words. docs/plan_format.md says what changed from version to version."""

from __future__ import annotations

from typing import Any

from tilewright.runtime.plan.blocks import TilePosition, ranges, tile_number, tiles_of
from tilewright.runtime.plan.from_version_6 import as_version_7
from tilewright.runtime.plan.names import LAYER_PREFIX, calibration_key
from tilewright.runtime.plan.reading_older import each, entries, reading
from tilewright.runtime.plan.records import SCHEMA_VERSION
from tilewright.targets.loading import chip_of, load_programming, parse_target
from tilewright.targets.spec import Chip

READABLE = (1, 2, 3, 4, 5, 6, SCHEMA_VERSION)


def migrated(content: dict[str, Any]) -> dict[str, Any]:
    """A plan document of a readable version as one of this version, to be validated as such.

    Raises ``InputError`` for what an older version would not have held.
    """
    steps = {
        1: _from_version_1, 2: _from_version_2, 3: _from_version_3, 4: _from_version_4, 5: _from_version_5,
        6: as_version_7,
    }  # fmt: skip
    while content["schema_version"] in steps:
        content = steps[content["schema_version"]](content)
    return content


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """A version 1 plan as version 2: uses said only whether samples come first; no check, notes or list of weights."""
    new = {**content, "schema_version": 2, "weights_of_model": [], "check": None, "notes": []}
    layers = content.get("layers")
    new["layers"] = [_layer(layer) for layer in layers] if isinstance(layers, list) else layers
    return new


def _layer(layer: Any) -> Any:
    uses = layer.get("uses") if isinstance(layer, dict) else None
    return {**layer, "uses": [_use(use) for use in uses]} if isinstance(uses, list) else layer


def _use(use: Any) -> Any:
    if not isinstance(use, dict) or "batched" not in use:
        return use
    axis = {"dimension": 0, "innermost": False} if use["batched"] else None
    return {**{key: value for key, value in use.items() if key != "batched"}, "sample_axis": axis}


def _from_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """A version 2 plan as version 3: its one target was the chip too, programmed in one way; bits, not formats."""
    new = {key: value for key, value in content.items() if key != "target"} | {"schema_version": 3}
    target = parse_target(content.get("target"), "of the plan")
    new["chip"] = chip_of(target).model_dump(mode="json")
    new["programming"] = [load_programming("direct").model_dump(mode="json")]
    added = {"has_calibration": False, "programming": "direct", "clip_deviations": None}
    layers = content.get("layers")
    if isinstance(layers, list):
        new["layers"] = [{**layer, **added} if isinstance(layer, dict) else layer for layer in layers]
    matmuls = content.get("matmuls")
    if isinstance(matmuls, list):
        new["matmuls"] = [_operands(matmul) if isinstance(matmul, dict) else matmul for matmul in matmuls]
    return new


def _operands(matmul: dict[str, Any]) -> dict[str, Any]:
    if "bits" not in matmul:
        return matmul
    bits = matmul["bits"]
    rest = {key: value for key, value in matmul.items() if key != "bits"}
    return {**rest, "operands": "fp32" if bits is None else f"int{bits}"}


def _from_version_3(content: dict[str, Any]) -> dict[str, Any]:
    """A version 3 plan as version 4: one range an operand of a matmul, both signed; no options of other targets."""
    new = {**content, "schema_version": 4, "assignment": None}
    matmuls, layers, tensors = content.get("matmuls"), content.get("layers"), content.get("tensors")
    if isinstance(matmuls, list):
        new["matmuls"] = [_ranges(matmul) if isinstance(matmul, dict) else matmul for matmul in matmuls]
    if isinstance(layers, list):
        new["layers"] = [{**layer, "options": []} if isinstance(layer, dict) else layer for layer in layers]
        if isinstance(tensors, dict):
            new["tensors"] = _calibrations(layers, tensors)
    return new


def _ranges(matmul: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in matmul.items() if key not in ("left_range", "right_range")}
    ranges = {f"{side}_ranges": [matmul.get(f"{side}_range")] for side in ("left", "right")}
    return {**rest, **ranges, "left_signed": True}


def _from_version_4(content: dict[str, Any]) -> dict[str, Any]:
    """A version 4 plan as version 5: every block had its ranges and its place on the mesh written out."""
    with reading("chip"):
        chip = Chip.model_validate(content["chip"])
    layers = [each("layers", n, _runs, layer, chip) for n, layer in entries(content, "layers")]
    return {**content, "schema_version": 5, "layers": layers}


def _from_version_5(content: dict[str, Any]) -> dict[str, Any]:
    """A version 5 plan as version 6: conditions on sizes and a checkpoint's unused tensors were not kept."""
    return {**content, "schema_version": 6, "size_conditions": None, "unused_tensors": []}


def _runs(layer: dict[str, Any], chip: Chip) -> dict[str, Any]:
    """A layer with splits and runs of tiles in place of blocks. Raises ``ValueError`` if these are no grid."""
    blocks = layer["blocks"]
    rest = {key: value for key, value in layer.items() if key != "blocks"}
    splits = {
        side: [stop - start for start, stop in sorted({(int(block[side][0]), int(block[side][1])) for block in blocks})]
        for side in ("rows", "columns")
    }
    if len(splits["rows"]) * len(splits["columns"]) != len(blocks):
        raise ValueError("the blocks are no grid")
    ordered = sorted(blocks, key=lambda block: (block["rows"], block["columns"]))
    grid = [(list(rows), list(columns)) for rows in ranges(splits["rows"]) for columns in ranges(splits["columns"])]
    if [(block["rows"], block["columns"]) for block in ordered] != grid:
        raise ValueError("the blocks are no grid")
    numbers = [tile_number(TilePosition(**block["tile"]), *tiles_of(chip, layer["target"])) for block in ordered]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == sum(runs[-1]):
            runs[-1][1] += 1
        else:
            runs.append([number, 1])
    return {**rest, "row_splits": splits["rows"], "column_splits": splits["columns"], "tiles": runs}


def _calibrations(layers: list[Any], tensors: dict[str, Any]) -> dict[str, Any]:
    """Tensors with calibration inputs named by target: there was one target."""
    names = {
        f"{LAYER_PREFIX}{layer.get('name')}.calibration": calibration_key(
            str(layer.get("name")), str(layer.get("target"))
        )
        for layer in layers
        if isinstance(layer, dict) and layer.get("has_calibration") is True
    }
    return {names.get(key, key): value for key, value in tensors.items()}
