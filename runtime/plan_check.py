"""Does a plan agree with itself? Asked by the compiler's last pass and by every load."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tilewright.runtime.graph_io import decode_graph
from tilewright.runtime.names import bias_key, calibration_key, channel_scale_key, layer_path, matmul_path, weight_key
from tilewright.runtime.plan import PATH_PATTERN, LayerRecord, Placement, Plan, PlanDocument, TargetOption
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import AnalogTarget, Chip, DigitalTarget


def check_plan(plan: Plan) -> None:
    """Raise ``InputError`` with the first thing that does not fit."""
    document = plan.document
    check_names(document)
    check_targets(document)
    check_placement(document.layers, document.placement, document.chip)
    for name in plan.tensors:
        if re.fullmatch(PATH_PATTERN, name) is None:
            raise InputError(f"tensor name {name[:80]!r} is not words with dots between")
    for layer in document.layers:
        _check_tensors(plan, layer)
        _check_parts(layer)
    _check_graph(plan)


def check_names(document: PlanDocument) -> None:
    """Layers, matmuls, inputs and outputs each have a name of their own."""
    for kind, names in {
        "layer": [layer.name for layer in document.layers],
        "matmul": [matmul.name for matmul in document.matmuls],
        "input": [record.name for record in document.inputs],
        "output": [record.name for record in document.outputs],
    }.items():
        twice = [name for name in names if names.count(name) > 1] if len(set(names)) != len(names) else []
        if twice:
            raise InputError(f"two {kind}s are named {twice[0]!r}")


def check_targets(document: PlanDocument) -> None:
    """Layers run on targets of the chip, by programming methods of the plan, and fit together with these."""
    targets = {target.name: target for target in document.chip.targets}
    methods = [method.name for method in document.programming]
    for layer in document.layers:
        for option in layer.options:
            _check_option(layer, option, targets, methods)
        target = targets.get(layer.target)
        if target is None:
            raise InputError(f"layer {layer.name!r} is on {layer.target!r}; {nearest(layer.target, targets)}")
        if isinstance(target, DigitalTarget):
            if layer.programming is not None or layer.has_channel_scale or layer.has_calibration or layer.blocks:
                raise InputError(f"layer {layer.name!r} is on the digital unit {layer.target}, but has parts of tiles")
            continue
        if layer.programming is None or layer.programming not in methods:
            raise InputError(f"layer {layer.name!r} is programmed by {layer.programming!r}; {nearest('', methods)}")
        if target.tile.doublings is None and any(use.input_range is None for use in layer.uses):
            raise InputError(f"layer {layer.name!r} has no input range, and {layer.target} has no ranges of its own")


def _check_option(
    layer: LayerRecord, option: TargetOption, targets: Mapping[str, AnalogTarget | DigitalTarget], methods: list[str]
) -> None:
    where = f"layer {layer.name!r}: its option {option.target!r}"
    target = targets.get(option.target)
    if target is None:
        raise InputError(f"{where} is not on the chip; {nearest(option.target, targets)}")
    if len(option.input_ranges) != len(layer.uses):
        raise InputError(f"{where} has {len(option.input_ranges)} input ranges for {len(layer.uses)} uses")
    if isinstance(target, DigitalTarget):
        if option.programming is not None or option.has_channel_scale or option.has_calibration:
            raise InputError(f"{where} is a digital unit, but has parts of tiles")
    elif option.programming not in methods:
        raise InputError(f"{where} is programmed by {option.programming!r}; {nearest('', methods)}")
    elif target.tile.doublings is None and None in option.input_ranges:
        raise InputError(f"{where} has no input range, and {option.target} has no ranges of its own")


def check_placement(layers: Iterable[LayerRecord], placement: Placement, chip: Chip) -> None:
    """Every weight on tiles is on exactly one, every tile holds one block, and all tiles are on the mesh."""
    taken: dict[tuple[int, int, int], str] = {}
    cells = offered = 0
    for layer in layers:
        target = chip.target(layer.target)
        if isinstance(target, DigitalTarget):
            continue
        rows, columns = int(target.tile.rows), int(target.tile.columns)
        offered += len(layer.blocks) * rows * columns
        _check_blocks(layer, rows, columns)
        for block in layer.blocks:
            tile = (block.tile.chip, block.tile.row, block.tile.column)
            if tile in taken:
                raise InputError(f"tile {tile} holds blocks of both {taken[tile]!r} and {layer.name!r}")
            taken[tile] = layer.name
            if tile[0] >= placement.chips or tile[1] >= placement.mesh[0] or tile[2] >= placement.mesh[1]:
                raise InputError(f"layer {layer.name!r} is on tile {tile}, which is not on the plan's chips")
        cells += layer.inputs * layer.outputs
    if len(taken) != placement.tiles:
        raise InputError(f"the plan says {placement.tiles} tiles, its blocks use {len(taken)}")
    utilisation = cells / offered if offered else 0.0
    if abs(utilisation - placement.utilisation) > 1e-6:
        raise InputError(f"the plan says utilisation {placement.utilisation}, its blocks give {utilisation:.6f}")


def _check_blocks(layer: LayerRecord, rows: int, columns: int) -> None:
    """The blocks are the full grid of consecutive row ranges and column ranges, each within one tile."""
    row_ranges = sorted({block.rows for block in layer.blocks})
    column_ranges = sorted({block.columns for block in layer.blocks})
    for ranges, size, limit, what in (
        (row_ranges, layer.inputs, rows, "rows"),
        (column_ranges, layer.outputs, columns, "columns"),
    ):
        place = 0
        for start, stop in ranges:
            if start != place or not start < stop <= start + limit:
                raise InputError(f"layer {layer.name!r}: the {what} of its blocks do not split {size} into tiles")
            place = stop
        if place != size:
            raise InputError(f"layer {layer.name!r}: the {what} of its blocks cover {place} of {size}")
    grid = {(block.rows, block.columns) for block in layer.blocks}
    if len(grid) != len(layer.blocks) or len(grid) != len(row_ranges) * len(column_ranges):
        raise InputError(f"layer {layer.name!r}: a weight is on no tile or on two")


def _check_tensors(plan: Plan, layer: LayerRecord) -> None:
    expected = {weight_key(layer.name): [layer.outputs, layer.inputs]}
    if layer.has_bias:
        expected[bias_key(layer.name)] = [layer.outputs]
    if layer.has_channel_scale or any(option.has_channel_scale for option in layer.options):
        expected[channel_scale_key(layer.name)] = [layer.inputs]
    calibrated = {option.target for option in layer.options if option.has_calibration}
    for target in sorted(calibrated | ({layer.target} if layer.has_calibration else set())):
        key = calibration_key(layer.name, target)
        inputs = plan.tensors.get(key)
        expected[key] = [
            inputs.shape[0] if inputs is not None and inputs.dim() else 0,
            layer.inputs,
        ]
    for key, shape in expected.items():
        if key not in plan.tensors:
            raise InputError(f"layer {layer.name!r}: there is no tensor {key!r}")
        tensor = plan.tensors[key]
        if list(tensor.shape) != shape or not tensor.is_floating_point():
            raise InputError(f"tensor {key!r} is {tensor.dtype} of shape {list(tensor.shape)}, not float of {shape}")
    if channel_scale_key(layer.name) in expected and not bool((plan.tensors[channel_scale_key(layer.name)] > 0).all()):
        raise InputError(f"tensor {channel_scale_key(layer.name)!r} holds numbers that are not above zero")


def _check_parts(layer: LayerRecord) -> None:
    place = 0
    for part in layer.parts:
        if part.columns[0] != place or part.columns[1] <= place:
            raise InputError(f"layer {layer.name!r}: its parts do not follow one another")
        place = part.columns[1]
    if place != layer.outputs:
        raise InputError(f"layer {layer.name!r}: its parts cover {place} of {layer.outputs} columns")


def _check_graph(plan: Plan) -> None:
    document = plan.document
    modules = {layer_path(layer.name) for layer in document.layers}
    modules |= {matmul_path(matmul.name) for matmul in document.matmuls}
    graph = decode_graph(document.graph, modules, set(plan.tensors))
    inputs = [node.target for node in graph.nodes if node.op == "placeholder"]
    if inputs != [record.name for record in document.inputs]:
        raise InputError(f"the graph's inputs {inputs} are not those that the plan lists")
    called: dict[str, set[object]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            called.setdefault(str(node.target), set()).add(node.args[1] if len(node.args) > 1 else 0)
    for layer in document.layers:
        uses = called.get(layer_path(layer.name), set())
        if uses != set(range(len(layer.uses))):
            raise InputError(f"layer {layer.name!r}: the graph's uses {sorted(map(str, uses))} are not the plan's")
    output = next(iter(reversed(graph.nodes)))
    results = output.args[0] if output.args else None
    count = len(results) if isinstance(results, list | tuple) else -1
    if count != len(document.outputs):
        raise InputError(f"the graph has {count} outputs, the plan names {len(document.outputs)}")
