"""Fusing of layers that multiply one input into one matrix: Q, K and V first of all."""

from __future__ import annotations

import operator

import torch
from torch import Tensor, fx

from tilewright.compiler.network.layers import LayerOrigins, WeightLayer
from tilewright.compiler.network.names import joint_name, layer_name
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.trained_layers import TrainedLayer
from tilewright.runtime.plan.decisions import Figure
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import LayerPart
from tilewright.runtime.units.full_precision import DigitalLinear


def fuse_shared_inputs(network: Network) -> None:
    """Fuse every group of layers whose uses take the same inputs in the same order.

    Layers that were trained with ranges of their own stay apart: the DACs of one matrix have one range.
    """
    groups: dict[tuple[fx.Node, ...], list[WeightLayer]] = {}
    for layer in network.layers.values():
        calls = network.uses_of(layer_path(layer.name))
        if not calls or any(len(call.args) > 2 for call in calls):  # a layer of loops, or of an expert
            continue
        inputs = tuple(call.all_input_nodes[0] for call in calls)
        groups.setdefault(inputs, []).append(layer)
    for group in groups.values():
        alike = _trained_alike(network, group)
        made = [_fuse(network, together) if len(together) > 1 else together[0] for together in alike]
        if len(made) > 1:
            _say_apart(network, made)
    network.tidy()


def _trained_alike(network: Network, group: list[WeightLayer]) -> list[list[WeightLayer]]:
    """The layers of a group, those together that put the same numbers on the DACs."""
    found: list[tuple[TrainedLayer | None, list[WeightLayer]]] = []
    for layer in group:
        own = network.trained_of(layer)
        for other, together in found:
            if own is other or (own is not None and other is not None and own.is_law_of(other)):
                together.append(layer)
                break
        else:
            found.append((own, [layer]))
    return [together for _, together in found]


def _say_apart(network: Network, layers: list[WeightLayer]) -> None:
    network.decide(
        "fuse_shared_inputs",
        layers[0].name,
        f"apart from {', '.join(layer.name for layer in layers[1:])}, which multiply the same input",
        "the checkpoint was trained with ranges of their own, and the DACs of one matrix have one",
        Figure(name="input conversions", value=len(layers), unit="1 a token"),
    )


def _fuse(network: Network, group: list[WeightLayer]) -> WeightLayer:
    fused = _fused_layer(network, group)
    modules = [network.layer_module(layer.name) for layer in group]
    weight = network.scratch.empty((fused.outputs, fused.inputs), modules[0].weight)
    torch.cat([module.weight for module in modules], out=weight)
    bias = torch.cat([_bias(module) for module in modules]) if fused.has_bias else None
    network.graph.add_submodule(layer_path(fused.name), DigitalLinear(weight, bias))
    calls = zip(*(network.uses_of(layer_path(layer.name)) for layer in group), strict=True)
    for use, nodes in enumerate(calls):
        _replace_calls(network, fused, use, nodes, [layer.outputs for layer in group])
    # The fused layer takes the place of its first part, so that layers stay in the order of the model.
    kept = [fused if layer is group[0] else layer for layer in network.layers.values() if layer not in group[1:]]
    network.layers = {layer.name: layer for layer in kept}
    network.fused[fused.name] = group
    gone = {layer.name for layer in group}
    network.decisions = [decision for decision in network.decisions if decision.subject not in gone]
    return fused


def _fused_layer(network: Network, group: list[WeightLayer]) -> WeightLayer:
    parts: list[LayerPart] = []
    start = 0
    for part in (part for layer in group for part in layer.parts):
        parts.append(part.model_copy(update={"columns": (start, start + part.columns[1] - part.columns[0])}))
        start = parts[-1].columns[1]
    return WeightLayer(
        name=layer_name(joint_name([layer.name for layer in group]), network.layers),
        inputs=group[0].inputs,
        outputs=start,
        has_bias=any(layer.has_bias for layer in group),
        parts=tuple(parts),
        origins=LayerOrigins(
            weight=tuple(dict.fromkeys(name for layer in group for name in layer.origins.weight)),
            bias=tuple(dict.fromkeys(name for layer in group for name in layer.origins.bias)),
        ),
        uses=group[0].uses,
    )


def _bias(module: DigitalLinear) -> Tensor:
    return module.bias if module.bias is not None else module.weight.new_zeros(module.weight.shape[0])


def _replace_calls(
    network: Network, fused: WeightLayer, use: int, nodes: tuple[fx.Node, ...], sizes: list[int]
) -> None:
    graph = network.graph.graph
    with graph.inserting_before(nodes[0]):
        call = graph.call_module(layer_path(fused.name), (nodes[0].args[0], use))
        parts = graph.call_function(torch.ops.aten.split_with_sizes.default, (call, sizes, -1))
        outputs = [graph.call_function(operator.getitem, (parts, place)) for place in range(len(nodes))]
    call.meta = dict(nodes[0].meta)
    for node, output in zip(nodes, outputs, strict=True):
        output.meta = dict(node.meta)
        network.replace(node, output)
