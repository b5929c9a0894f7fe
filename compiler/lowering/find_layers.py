"""Lowering of weight matmuls to named layers; one that is called several times is one layer with several uses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from tilewright.compiler.network.layer_names import layer_name
from tilewright.compiler.network.layers import LayerOrigins, WeightLayer
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import arguments_of
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import LayerPart
from tilewright.runtime.storage.memory_place import memory_place
from tilewright.runtime.units.full_precision import DigitalLinear

aten = torch.ops.aten


@dataclass
class WeightMatmul:
    """A product of an activation and a constant matrix, as found in the graph."""

    node: fx.Node
    x: fx.Node
    weight_node: fx.Node
    bias_node: fx.Node | None
    weight: Tensor
    """Matrix [outputs, inputs]."""
    bias: Tensor | None

    @property
    def identity(self) -> tuple[object, ...]:
        """Identity of the weights, equal for all uses: their places in memory (tied parameters lie in one place)."""
        bias = memory_place(self.bias) if self.bias is not None else None
        return memory_place(self.weight), tuple(self.weight.shape), self.weight.stride(), bias


def find_layers(network: Network) -> None:
    """Replace each weight matmul with a call of its layer."""
    names: dict[tuple[object, ...], str] = {}
    for node in list(network.graph.graph.nodes):
        found = match_weight_matmul(network, node)
        if found is None:
            continue
        if found.identity not in names:
            names[found.identity] = _new_layer(network, found)
        _replace(network, found, names[found.identity])
    network.tidy()


def match_weight_matmul(network: Network, node: fx.Node) -> WeightMatmul | None:
    """linear(x, W, b) with constant W and b; None for anything else."""
    if node.op != "call_function" or node.target != aten.linear.default:
        return None
    x, weight_node, bias_node = arguments_of(node).values()
    weight, bias = network.tensor(weight_node), network.tensor(bias_node)
    if (
        weight is None
        or weight.dim() != 2
        or not weight.numel()
        or not weight.is_floating_point()
        or network.tensor(x) is not None
    ):
        return None
    if bias_node is not None and (bias is None or bias.dim() != 1):
        return None
    return WeightMatmul(node, x, weight_node, bias_node, weight, bias)


def _new_layer(network: Network, found: WeightMatmul) -> str:
    path = str(found.weight_node.target)
    source = network.source_names.get(path, path)
    name = layer_name(source.removesuffix(".weight"), network.layers)
    outputs, inputs = found.weight.shape
    origins = LayerOrigins(
        weight=network.origins.get(path, ()),
        bias=network.origins.get(str(found.bias_node.target), ()) if found.bias_node is not None else (),
    )
    part = LayerPart(
        weight=origins.weight[0] if origins.weight else source,
        bias=origins.bias[0] if origins.bias else None,
        columns=(0, outputs),
    )
    network.layers[name] = WeightLayer(name, inputs, outputs, found.bias is not None, (part,), origins)
    network.graph.add_submodule(layer_path(name), DigitalLinear(found.weight, found.bias))
    network.decisions.append(
        Decision(
            made_by="find_layers",
            subject=name,
            choice="a layer",
            reason="its weight matrix is constant and multiplies an activation: it may stay in a crossbar",
            figures=[Figure(name="weights", value=inputs * outputs, unit="weight")],
        )
    )
    return name


def _replace(network: Network, found: WeightMatmul, name: str) -> None:
    graph, layer = network.graph.graph, network.layers[name]
    network.layers[name] = replace(layer, uses=layer.uses + 1)
    with graph.inserting_before(found.node):
        call = graph.call_module(layer_path(name), (found.x, layer.uses))
    call.meta = dict(found.node.meta)
    found.node.replace_all_uses_with(call)
    graph.erase_node(found.node)
