"""Loops of a network as records, and back: their bodies call the network's own layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import fx, nn

from tilewright.compiler.network.network import Network
from tilewright.runtime.plan.graph import build_module, decode_graph, encode_graph
from tilewright.runtime.plan.names import LOOP_PREFIX, loop_path
from tilewright.runtime.plan.records import LoopRecord
from tilewright.runtime.units.loop import Loop


def loop_records(network: Network) -> list[LoopRecord]:
    """Records of all loops of a network, in order."""
    return [
        LoopRecord(
            name=str(call.target).removeprefix(LOOP_PREFIX), states=loop.states, graph=encode_graph(loop.body.graph)
        )
        for call, loop in network.loops
    ]


def loops_of(records: Sequence[LoopRecord], modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Loops of these records over modules of layers and products, by the paths that a graph calls."""
    found: dict[str, nn.Module] = {}
    for record in records:
        graph = decode_graph(record.graph, set(modules), set())
        called = {str(node.target) for node in graph.nodes if node.op == "call_module"}
        body = build_module(graph, {path: modules[path] for path in called}, {})
        found[loop_path(record.name)] = Loop(body, record.states)
    return found


def own_bodies(network: Network) -> None:
    """Give every loop a body of its own, which a pass may change: what the graph was before stays as it was."""
    for call, loop in network.loops:
        body = fx.GraphModule(loop.body, copy.deepcopy(loop.body.graph))
        network.graph.add_submodule(str(call.target), Loop(body, loop.states))
