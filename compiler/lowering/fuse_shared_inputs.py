"""Layers that multiply one input become one matrix: Q, K and V first of all."""

from __future__ import annotations

import operator
from math import ceil

import torch
from torch import Tensor, fx

from tilewright.compiler.lowering.find_layers import unique_name
from tilewright.compiler.network.compilation import Compilation, LayerOrigins
from tilewright.runtime.chip.layers import DigitalLinear
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import LayerPart, LayerRecord
from tilewright.targets.spec import Tile


def fuse_shared_inputs(compilation: Compilation) -> None:
    """Fuse every group of layers whose uses take the same inputs in the same order."""
    groups: dict[tuple[fx.Node, ...], list[LayerRecord]] = {}
    for layer in compilation.layers.values():
        inputs = tuple(node.all_input_nodes[0] for node in compilation.uses_of(layer_path(layer.name)))
        groups.setdefault(inputs, []).append(layer)
    for group in groups.values():
        if len(group) > 1:
            _fuse(compilation, group)
    compilation.tidy()


def _fuse(compilation: Compilation, group: list[LayerRecord]) -> None:
    fused = _fused_record(compilation, group)
    parts = [compilation.layer_origins.pop(layer.name) for layer in group]
    compilation.layer_origins[fused.name] = LayerOrigins(
        weight=tuple(dict.fromkeys(name for part in parts for name in part.weight)),
        bias=tuple(dict.fromkeys(name for part in parts for name in part.bias)),
    )
    modules = [compilation.layer_module(layer.name) for layer in group]
    weight = compilation.scratch.empty((fused.outputs, fused.inputs), modules[0].weight)
    torch.cat([module.weight for module in modules], out=weight)
    bias = torch.cat([_bias(module) for module in modules]) if fused.has_bias else None
    compilation.graph.add_submodule(layer_path(fused.name), DigitalLinear(weight, bias))
    calls = zip(*(list(compilation.uses_of(layer_path(layer.name))) for layer in group), strict=True)
    for use, nodes in enumerate(calls):
        _replace_calls(compilation.graph.graph, fused, use, list(nodes), [layer.outputs for layer in group])
    _decide(compilation, group, fused)
    # The fused layer takes the place of its first part, so that layers stay in the order of the model.
    first = group[0].name
    names = {layer.name for layer in group}
    ordered = {fused.name if name == first else name: layer for name, layer in compilation.layers.items()}
    ordered[fused.name] = fused
    compilation.layers = {name: layer for name, layer in ordered.items() if name == fused.name or name not in names}


def _fused_record(compilation: Compilation, group: list[LayerRecord]) -> LayerRecord:
    parts: list[LayerPart] = []
    start = 0
    for layer in group:
        for part in layer.parts:
            parts.append(part.model_copy(update={"columns": (start, start + part.columns[1] - part.columns[0])}))
            start = parts[-1].columns[1]
    name = unique_name(joint_name([layer.name for layer in group]), compilation.layers)
    return group[0].model_copy(
        update={
            "name": name,
            "outputs": start,
            "has_bias": any(layer.has_bias for layer in group),
            "parts": parts,
            "uses": [use.model_copy() for use in group[0].uses],
        }
    )


def joint_name(names: list[str]) -> str:
    """a.query, a.key, a.value -> a.query_key_value."""
    split = [name.split(".") for name in names]
    shared = 0
    while all(len(parts) > shared + 1 and parts[shared] == split[0][shared] for parts in split):
        shared += 1
    tails = ["_".join(parts[shared:]) for parts in split]
    return ".".join([*split[0][:shared], "_".join(tails)])


def _bias(module: DigitalLinear) -> Tensor:
    return module.bias if module.bias is not None else module.weight.new_zeros(module.weight.shape[0])


def _replace_calls(graph: fx.Graph, fused: LayerRecord, use: int, nodes: list[fx.Node], sizes: list[int]) -> None:
    with graph.inserting_before(nodes[0]):
        call = graph.call_module(layer_path(fused.name), (nodes[0].args[0], use))
        parts = graph.call_function(torch.ops.aten.split_with_sizes.default, (call, sizes, -1))
        outputs = [graph.call_function(operator.getitem, (parts, place)) for place in range(len(nodes))]
    call.meta = dict(nodes[0].meta)
    for node, output in zip(nodes, outputs, strict=True):
        output.meta = dict(node.meta)
        node.replace_all_uses_with(output)
        graph.erase_node(node)


def tiles_needed(layer: LayerRecord, tile: Tile) -> int:
    """Tiles that a layer takes alone."""
    return ceil(layer.inputs / tile.rows) * ceil(layer.outputs / tile.columns)


def _decide(compilation: Compilation, group: list[LayerRecord], fused: LayerRecord) -> None:
    tiles = compilation.chip.tiles
    figures, rejected = [Figure(name="input conversions", value=1, unit="1 a token")], []
    if tiles:
        tile = tiles[0].target.tile
        figures = _figures(tiles_needed(fused, tile), 1)
        apart = sum(tiles_needed(layer, tile) for layer in group)
        rejected = [Alternative(choice="each on tiles of its own", figures=_figures(apart, len(group)))]
    compilation.decisions.append(
        Decision(
            made_by="fuse_shared_inputs",
            subject=fused.name,
            choice=f"one matrix of {len(group)}: {', '.join(layer.name for layer in group)}",
            reason="they multiply one input: one conversion to analog serves all, and it never takes more tiles",
            figures=figures,
            rejected=rejected,
        )
    )


def _figures(tiles: int, conversions: int) -> list[Figure]:
    return [
        Figure(name="tiles", value=tiles, unit="tile"),
        Figure(name="input conversions", value=conversions, unit="1 a token"),
    ]
