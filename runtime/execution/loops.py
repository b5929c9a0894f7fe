"""Loops of a plan as modules: bodies decoded from their records, over the modules that the graph calls too."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, fx, nn

from tilewright.runtime.execution.guarded_operators import guard_values
from tilewright.runtime.plan.graph import build_module, decode_graph
from tilewright.runtime.plan.names import loop_path
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LoopRecord
from tilewright.runtime.units.loop import Loop


def loop_modules(plan: Plan, modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> dict[str, nn.Module]:
    """Loops of a plan by the paths that its graph calls, over modules and tensors by theirs."""
    found: dict[str, nn.Module] = {}
    for record in plan.document.loops:
        body = body_module(record, modules, tensors, guarded=True)
        found[loop_path(record.name)] = Loop(body, record.states)
    return found


def body_module(
    record: LoopRecord, modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], *, guarded: bool = False
) -> fx.GraphModule:
    """Body of a loop over those of the modules and tensors that it calls. guarded: against what torch does not check.

    Raises ``InputError`` for a graph that a plan may not hold.
    """
    graph = decode_graph(record.graph, set(modules), set(tensors))
    if guarded:
        guard_values(graph)
    called = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    return build_module(graph, {path: modules[path] for path in called}, {key: tensors[key] for key in read})
