"""Lowering of weight matmuls to named layers; one that is called several times is one layer with several uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, fx

from tilewright.compiler.network.chosen_linear import CHOSEN_LINEAR
from tilewright.compiler.network.layers import LayerOrigins, WeightLayer
from tilewright.compiler.network.loops import own_bodies
from tilewright.compiler.network.names import layer_name
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import Rewriter, arguments_of
from tilewright.compiler.network.routing import ROUTES, expected_share, products_of_routers
from tilewright.runtime.plan.decisions import Figure
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import LayerPart
from tilewright.runtime.storage.memory_place import memory_place
from tilewright.runtime.units.full_precision import DigitalLinear
from tilewright.runtime.units.loop import Loop

aten = torch.ops.aten
PRODUCTS = (aten.linear.default, CHOSEN_LINEAR)


def find_layers(network: Network) -> None:
    """Replace each linear(x, W, b) with constant W and b by a call of its layer."""
    own_bodies(network)
    routers = products_of_routers(network)
    names: dict[tuple[object, ...], str] = {}
    for node, outside in list(_products(network)):
        x, *held, chosen = [*arguments_of(node).values(), None][:4]
        weight_node, bias_node = (outside.get(one, one) for one in held)
        weight, bias = network.tensor(weight_node), network.tensor(bias_node)
        if node in routers:
            network.stays_digital(weight_node, "router", ROUTES)
            network.stays_digital(bias_node, "router", ROUTES)
            continue
        if weight is None or weight.dim() != 2 or not weight.numel() or not weight.is_floating_point():
            continue
        if network.tensor(x) is not None or (bias_node is not None and (bias is None or bias.dim() != 1)):
            continue
        place_of_bias = memory_place(bias) if bias is not None else None
        # equal for all uses: tied parameters lie in one place
        identity = memory_place(weight), tuple(weight.shape), weight.stride(), place_of_bias
        if identity not in names:
            names[identity] = _new_layer(network, weight_node, bias_node, weight)
            network.graph.add_submodule(layer_path(names[identity]), DigitalLinear(weight, bias))
        layer = network.layers[names[identity]]
        shares = (*layer.shares, expected_share(node))
        network.layers[layer.name] = replace(layer, uses=layer.uses + 1, shares=shares)
        rewriter = Rewriter(network, node)
        called = (x, layer.uses) if chosen is None else (x, layer.uses, chosen)
        rewriter.replace_with(rewriter.call_module(layer_path(layer.name), called))
    for call, loop in network.loops:
        _drop_unread(call, loop)
    network.own.clear()
    network.tidy()


def _products(network: Network) -> Iterator[tuple[fx.Node, dict[fx.Node, fx.Node]]]:
    """Products in running order, those in loops with what their body's inputs are outside."""
    loops = dict(network.loops)
    for node in network.graph.graph.nodes:
        if node.target in PRODUCTS:
            yield node, {}
        elif node in loops:
            body = loops[node].body.graph
            outside = dict(zip(body.find_nodes(op="placeholder"), chain(*node.args), strict=True))
            yield from ((inner, outside) for inner in body.find_nodes(op="call_function", target=aten.linear.default))


def _drop_unread(call: fx.Node, loop: Loop) -> None:
    """Drop what stays the same at all steps of a loop and is not read any more: matrices that are in layers now."""
    states, sequences, others = call.args
    body = loop.body.graph
    first = len(states) + len(sequences)  # type: ignore[arg-type]
    kept = []
    for inner, outer in zip(body.find_nodes(op="placeholder")[first:], others, strict=True):  # type: ignore[arg-type]
        if inner.users:
            kept.append(outer)
        else:
            body.erase_node(inner)
    call.args = (states, sequences, kept)
    loop.body.recompile()


def _new_layer(network: Network, weight: fx.Node, bias: fx.Node | None, matrix: Tensor) -> str:
    path = str(weight.target)
    source = network.source_names.get(path, path)
    name = layer_name(source.removesuffix(".weight"), network.layers)
    outputs, inputs = matrix.shape
    origins = LayerOrigins(network.origins_of(weight), network.origins_of(bias))
    part = LayerPart(
        weight=next(iter(origins.weight), source),
        bias=next(iter(origins.bias), None),
        columns=(0, outputs),
        stored=_stored(matrix, network.parameters[origins.weight[0]]) if path in network.own else None,
    )
    network.layers[name] = WeightLayer(name, inputs, outputs, bias is not None, (part,), origins)
    reason = "its weight matrix is constant and multiplies an activation: it may stay in a crossbar"
    figure = Figure(name="weights", value=inputs * outputs, unit="weight")
    network.decide("find_layers", name, "a layer", reason, figure)
    return name


def _stored(matrix: Tensor, parameter: Tensor) -> Literal["outputs first", "inputs first"] | None:
    """Order in which a parameter has the numbers of a matrix that is a view of it; None for any other view."""
    shape, strides = tuple(parameter.shape), parameter.stride()
    found = tuple(matrix.shape), matrix.stride()
    if parameter.dim() > 2:  # a convolution's kernels, as rows
        is_rows = matrix.is_contiguous() and parameter.is_contiguous() and matrix.shape[0] == shape[0]
        return "outputs first" if is_rows else None
    if found == (shape, strides):
        return "outputs first"
    return "inputs first" if found == (shape[::-1], strides[::-1]) else None
