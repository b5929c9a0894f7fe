"""Invariants of the graph, checked after every pass."""

from __future__ import annotations

from tilewright.compiler.network.network import Network
from tilewright.compiler.network.unsupported import unsupported_aten
from tilewright.runtime.plan.operators import function_name
from tilewright.runtime.units.full_precision import DigitalLinear, DigitalMatmul


def check_invariants(network: Network) -> None:
    """Raise ``InputError`` for an operator that tilewright does not support, ``ValueError`` for a broken graph."""
    network.graph.graph.lint()
    for node in network.graph.graph.nodes:
        if node.op == "call_function" and function_name(node.target) is None:
            stack = list(node.meta.get("nn_module_stack", {}).values())
            where = f" in module {stack[-1][0]!r}" if stack and stack[-1][0] else ""
            raise unsupported_aten(str(node.target), f"node {node.name}{where}")
        if node.op == "call_module":
            module = network.graph.get_submodule(str(node.target))
            if not isinstance(module, DigitalLinear | DigitalMatmul):
                raise ValueError(f"node {node.name} calls a {type(module).__name__}, which is not a layer or matmul")
        if node.op == "get_attr" and network.tensor(node) is None:
            raise ValueError(f"node {node.name} reads {node.target}, which is not a tensor")
