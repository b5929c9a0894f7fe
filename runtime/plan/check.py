"""Consistency of a plan, checked at the end of compiling and at every load."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain

from torch import Tensor, fx

from tilewright.runtime.plan.adapters import check_adapters
from tilewright.runtime.plan.allowed_sizes import check_conditions
from tilewright.runtime.plan.blocks import tile_position, tiles_of
from tilewright.runtime.plan.graph import decode_graph
from tilewright.runtime.plan.names import (
    bias_key,
    calibration_key,
    channel_scale_key,
    input_factor_key,
    layer_path,
    loop_path,
    matmul_path,
    output_factor_key,
    weight_key,
)
from tilewright.runtime.plan.plan_error import PlanError as PlanError
from tilewright.runtime.plan.records import LayerOption, LayerRecord, LoopRecord, Placement, PlanDocument
from tilewright.runtime.plan.types import PATH_PATTERN
from tilewright.targets.errors import nearest
from tilewright.targets.spec import AnalogTarget, Chip, DigitalTarget, Tiles


def check_plan(document: PlanDocument, tensors: Mapping[str, Tensor]) -> None:
    """Raise ``PlanError`` with the first thing that does not fit. tensors: by the names of the document.

    A graph that no plan may have is an ``InputError``: a model itself may ask for sizes that are refused.
    """
    has_weights = document.weights is not None
    check_names(document)
    check_conditions(document)
    check_targets(document, calibrated=has_weights)
    known = {layer.name for layer in document.layers}
    for weight in document.weights_of_model:
        for name in weight.layers:
            if name not in known:
                raise PlanError(
                    f"parameter {weight.name[:80]!r} is in a layer {name[:80]!r} that the plan does not have"
                )
    check_placement(document.layers, document.placement, document.chip)
    for name in tensors:
        if re.fullmatch(PATH_PATTERN, name) is None:
            raise PlanError(f"tensor name {name[:80]!r} is not words with dots between")
    for layer in document.layers:
        _check_tensors(layer, tensors, has_weights=has_weights)
        _check_parts(layer)
    _check_graph(document, tensors)
    check_adapters(document, tensors)


def check_names(document: PlanDocument) -> None:
    """Raise ``PlanError`` unless layers, matmuls, inputs, outputs and methods each have a name of their own."""
    for kind, names in {
        "layer": [layer.name for layer in document.layers],
        "matmul": [matmul.name for matmul in document.matmuls],
        "loop": [loop.name for loop in document.loops],
        "input": [record.name for record in document.inputs],
        "output": [record.name for record in document.outputs],
        "programming method": [method.name for method in document.programming],
    }.items():
        if len(set(names)) != len(names):
            twice, _ = Counter(names).most_common(1)[0]
            raise PlanError(f"two {kind}s are named {twice!r}")


def check_targets(document: PlanDocument, *, calibrated: bool) -> None:
    """Raise ``PlanError`` unless layers fit their targets on the chip and their programming methods in the plan.

    calibrated: True if input ranges are known, which tiles need that do not find their own.
    """
    targets = {target.name: target for target in document.chip.targets}
    methods = [method.name for method in document.programming]
    for layer in document.layers:
        for option in layer.options:
            _check_option(layer, option, targets, methods, calibrated=calibrated)
        offered = Counter(option.target for option in layer.options)
        if layer.target not in offered:
            raise PlanError(f"layer {layer.name!r} is on {layer.target!r}; {nearest(layer.target, offered)}")
        twice, times = offered.most_common(1)[0]
        if times > 1:
            raise PlanError(f"layer {layer.name!r} has two options on {twice!r}")
        if layer.tiles and not layer.option.block_count:
            raise PlanError(f"layer {layer.name!r} is on the digital unit {layer.target}, but has parts of tiles")


def _check_option(
    layer: LayerRecord,
    option: LayerOption,
    targets: Mapping[str, AnalogTarget | DigitalTarget],
    methods: list[str],
    *,
    calibrated: bool,
) -> None:
    where = f"layer {layer.name!r}: its option {option.target!r}"
    target = targets.get(option.target)
    if target is None:
        raise PlanError(f"{where} is not on the chip; {nearest(option.target, targets)}")
    if len(option.uses) != len(layer.uses):
        raise PlanError(f"{where} has {len(option.uses)} input ranges for {len(layer.uses)} uses")
    if target.tile is None:
        if option.programming is not None or option.has_channel_scale or option.has_calibration or option.block_count:
            raise PlanError(f"{where} is a digital unit, but has parts of tiles")
        return
    if option.programming not in methods:
        raise PlanError(f"{where} is programmed by {option.programming!r}; {nearest('', methods)}")
    if calibrated and target.tile.doublings is None and None in option.input_ranges:
        raise PlanError(f"{where} has no input range, and {option.target} has no ranges of its own")
    _check_splits(layer, option, int(target.tile.rows), int(target.tile.columns))


def _check_splits(layer: LayerRecord, option: LayerOption, rows: int, columns: int) -> None:
    """Raise ``PlanError`` unless row-blocks and column-blocks split the layer, each within one tile."""
    for splits, size, limit, what in (
        (option.row_splits, layer.inputs, rows, "rows"),
        (option.column_splits, layer.outputs, columns, "columns"),
    ):
        if max(splits, default=0) > limit:
            raise PlanError(f"layer {layer.name!r}: a block has {max(splits)} {what}, a tile has {limit}")
        if sum(splits) != size:
            raise PlanError(f"layer {layer.name!r}: the {what} of its blocks cover {sum(splits)} of {size}")


def check_placement(layers: Iterable[LayerRecord], placement: Placement, chip: Chip) -> None:
    """Raise ``PlanError`` unless each weight on tiles is on one, and tiles on the plan's chips hold a block each."""
    if placement.mesh != chip.mesh:
        raise PlanError(f"the plan is laid on a mesh of {placement.mesh}, its chip has {chip.mesh}")
    runs: dict[str, list[tuple[int, int, str]]] = {}
    used = cells = offered = 0
    for layer in layers:
        tile = chip.target(layer.target).tile
        if tile is None:
            continue
        used += layer.tile_count
        offered += layer.tile_count * int(tile.rows) * int(tile.columns)
        needed = layer.option.block_count
        if layer.tile_count != needed:
            raise PlanError(f"layer {layer.name!r} has {needed} blocks on {layer.tile_count} tiles")
        runs.setdefault(layer.target, []).extend((first, count, layer.name) for first, count in layer.tiles)
        cells += layer.inputs * layer.outputs
    ends = {name: _check_runs(sorted(placed), *tiles_of(chip, name), placement.chips) for name, placed in runs.items()}
    needed = max((-(-end // tiles_of(chip, name)[0].count) for name, end in ends.items()), default=0)
    if placement.chips != needed:
        raise PlanError(f"the plan says {placement.chips} chips, its tiles are on {needed}")
    if used != placement.tiles:
        raise PlanError(f"the plan says {placement.tiles} tiles, its blocks use {used}")
    utilisation = cells / offered if offered else 0.0
    if abs(utilisation - placement.utilisation) > 1e-6:
        raise PlanError(f"the plan says utilisation {placement.utilisation}, its blocks give {utilisation:.6f}")


def _check_runs(runs: list[tuple[int, int, str]], tiles: Tiles, first_column: int, chips: int) -> int:
    """Raise ``PlanError`` unless runs of tiles of one kind, in order, do not overlap and are on the chips.

    runs: (first, count, layer). Returns how many tiles there are up to the end of the last run.
    """
    free, holder = 0, ""
    for first, count, layer in runs:
        if first < free:
            tile = tuple(tile_position(first, tiles, first_column))
            raise PlanError(f"tile {tile} holds blocks of both {holder!r} and {layer!r}")
        free, holder = first + count, layer
    if free > chips * tiles.count:
        tile = tuple(tile_position(free - 1, tiles, first_column))
        raise PlanError(f"layer {holder!r} is on tile {tile}, which is not on the plan's chips")
    return free


def _check_tensors(layer: LayerRecord, tensors: Mapping[str, Tensor], *, has_weights: bool) -> None:
    expected = {weight_key(layer.name): [layer.outputs, layer.inputs]}
    if layer.has_bias:
        expected[bias_key(layer.name)] = [layer.outputs]
    if any(option.has_channel_scale for option in layer.options):
        expected[channel_scale_key(layer.name)] = [layer.inputs]
    if layer.has_factors:
        expected[input_factor_key(layer.name)] = [layer.inputs]
        expected[output_factor_key(layer.name)] = [layer.outputs]
    for option in (option for option in layer.options if option.has_calibration):
        key = calibration_key(layer.name, option.target)
        inputs = tensors.get(key)
        expected[key] = [inputs.shape[0] if inputs is not None and inputs.dim() else 0, layer.inputs]
    for key, shape in expected.items():
        if key not in tensors:
            raise PlanError(f"layer {layer.name!r}: there is no tensor {key!r}")
        tensor = tensors[key]
        if list(tensor.shape) != shape or not tensor.is_floating_point():
            raise PlanError(f"tensor {key!r} is {tensor.dtype} of shape {list(tensor.shape)}, not float of {shape}")
    key = channel_scale_key(layer.name)
    if has_weights and key in expected and not bool((tensors[key] > 0).all()):
        raise PlanError(f"tensor {key!r} holds numbers that are not above zero")


def _check_parts(layer: LayerRecord) -> None:
    place = 0
    for part in layer.parts:
        if part.columns[0] != place or part.columns[1] <= place:
            raise PlanError(f"layer {layer.name!r}: its parts do not follow one another")
        place = part.columns[1]
    if place != layer.outputs:
        raise PlanError(f"layer {layer.name!r}: its parts cover {place} of {layer.outputs} columns")


def _check_graph(document: PlanDocument, tensors: Mapping[str, Tensor]) -> None:
    modules = {layer_path(layer.name) for layer in document.layers}
    modules |= {matmul_path(matmul.name) for matmul in document.matmuls}
    loops = {loop_path(loop.name): loop for loop in document.loops}
    graph = decode_graph(document.graph, modules | {*loops}, set(tensors))
    bodies = {path: decode_graph(loop.graph, modules, set(tensors)) for path, loop in loops.items()}
    inputs = [record.target for record in document.graph if record.op == "placeholder"]
    if inputs != [record.name for record in document.inputs]:
        raise PlanError(f"the graph's inputs {inputs} are not those that the plan lists")
    called: dict[str, set[object]] = {}
    for node in chain(graph.nodes, *(body.nodes for body in bodies.values())):
        if node.op == "call_module" and node.target in loops:
            _check_loop(node, loops[str(node.target)], bodies[str(node.target)])
        elif node.op == "call_module":
            called.setdefault(str(node.target), set()).add(node.args[1] if len(node.args) > 1 else 0)
    for layer in document.layers:
        uses = called.get(layer_path(layer.name), set())
        if uses != set(range(len(layer.uses))):
            raise PlanError(f"layer {layer.name!r}: the graph's uses {sorted(map(str, uses))} are not the plan's")
    output = next(iter(reversed(graph.nodes)))
    results = output.args[0] if output.args else None
    count = len(results) if isinstance(results, list | tuple) else -1
    if count != len(document.outputs):
        raise PlanError(f"the graph has {count} outputs, the plan names {len(document.outputs)}")


def _check_loop(call: fx.Node, record: LoopRecord, body: fx.Graph) -> None:
    """Raise ``PlanError`` unless a loop's body takes what a call gives it, and gives the states on."""
    states, sequences, others = (len(one) for one in call.args)  # type: ignore[arg-type]
    takes = len(body.find_nodes(op="placeholder"))
    gives = body.output_node().args[0]
    if states != record.states or not sequences or states + sequences + others != takes:
        raise PlanError(
            f"loop {record.name!r}: node {call.name!r} gives it {states} states, {sequences} sequences and {others} "
            f"others; it hands on {record.states} and takes {takes} in all"
        )
    if not isinstance(gives, list | tuple) or len(gives) < record.states:
        raise PlanError(f"loop {record.name!r} does not give its {record.states} states")
