"""What must be true of the graph after every pass."""

from __future__ import annotations

from difflib import get_close_matches

from tilewright.compiler.compilation import Compilation
from tilewright.runtime.layers import DigitalLinear
from tilewright.runtime.operators import allowed_functions, function_name
from tilewright.runtime.units import DigitalMatmul
from tilewright.targets.errors import InputError


def check_invariants(compilation: Compilation) -> None:
    """Raise ``InputError`` for an operator that tilewright does not support, ``ValueError`` for a broken graph."""
    compilation.graph.graph.lint()
    for node in compilation.graph.graph.nodes:
        if node.op == "call_function" and function_name(node.target) is None:
            name = str(node.target)
            stack = list(node.meta.get("nn_module_stack", {}).values())
            where = f" in {stack[-1][0]}" if stack else ""
            close = get_close_matches(name, allowed_functions(), n=1, cutoff=0.0)
            raise InputError(
                f"operator {name} (node {node.name}{where}) is not supported; the nearest that is: {close[0]} "
                "(docs/operators.md lists all); compile the part of the model without it"
            )
        if node.op == "call_module":
            module = compilation.graph.get_submodule(str(node.target))
            if not isinstance(module, DigitalLinear | DigitalMatmul):
                raise ValueError(f"node {node.name} calls a {type(module).__name__}, which is not a layer or matmul")
        if node.op == "get_attr" and compilation.tensor(node) is None:
            raise ValueError(f"node {node.name} reads {node.target}, which is not a tensor")
