"""Operators of a traced program taken apart one by one, and those that write into an operand written otherwise.

torch.export does both by tracing the whole program again, which takes longer than the first time. Few operators need
it: attention, einsum and the like, activations that write into their operand, and what a plan has no operator for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._ops import HigherOrderOperator, OpOverload
from torch.fx.experimental.proxy_tensor import make_fx

from tilewright.compiler.frontends.decompositions import COMPOSED, DECOMPOSITIONS
from tilewright.compiler.frontends.experts import put_experts
from tilewright.compiler.frontends.recurrent import AS_LOOPS
from tilewright.runtime.plan.operators import function_name

aten = torch.ops.aten
FRESH = {
    aten.linear.default, aten.matmul.default, aten.conv1d.default, aten.conv1d.padding, aten.conv2d.default,
    aten.conv2d.padding, aten.conv3d.default, aten.conv3d.padding, aten.batch_norm.default, aten.layer_norm.default,
    aten.group_norm.default, aten.instance_norm.default,
}  # fmt: skip
"""Composite operators whose result never shares memory with an operand; of other composites torch does not say."""


OURS: dict[Any, Callable[..., Any]] = {**DECOMPOSITIONS, **AS_LOOPS}
"""Operators whose parts we write ourselves."""
SILENT = {aten.dropout_.default, aten.feature_dropout_.default, aten.alpha_dropout_.default}
"""Operators that would write while training, and give their operand as it is in eval mode."""


class NotTakenApartError(Exception):
    """Operator that only tracing the whole program again can write otherwise."""


def take_apart(graph: fx.Graph) -> None:
    """Take apart all operators that need it, in place. Raises ``NotTakenApartError`` and leaves a graph of no use."""
    for node in list(graph.nodes):
        if isinstance(node.target, HigherOrderOperator) or node.op == "call_module":
            raise NotTakenApartError(str(node.target))
        if node.target in SILENT and node.args[2:] != (True,):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif isinstance(node.target, OpOverload) and node.target._schema.is_mutable:
            _write_anew(node)
    for node in list(graph.nodes):
        if _needs_parts(node.target):
            _put_parts(graph, node)
    put_experts(graph)


def take_parts(graph: fx.Graph) -> None:
    """Take apart what tracing took whole, in place."""
    for node in list(graph.nodes):
        if node.target in AS_LOOPS:
            _put_parts(graph, node)
    put_experts(graph)


def _needs_parts(function: object) -> bool:
    """True if an operator has a decomposition of ours, or one of torch's and no place in a plan."""
    if function in OURS:
        return True
    return isinstance(function, OpOverload) and function_name(function) is None and _is_composite(function)


def _is_composite(function: OpOverload) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd")


def _put_parts(graph: fx.Graph, node: fx.Node) -> None:
    """Put the operators that a node's is made of in its place."""
    operands = node.all_input_nodes
    function = node.target
    assert isinstance(function, OpOverload)
    ours = None if function in COMPOSED else OURS.get(function)

    def run(*values: Any) -> Any:
        known = dict(zip(operands, values, strict=True))
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
        return (ours or function)(*args, **kwargs)

    # what we write ourselves stays as written; torch's composites come apart as far as they go
    parts = make_fx(run, tracing_mode="symbolic", pre_dispatch=ours is not None)(*map(_value, operands))
    placeholders = parts.graph.find_nodes(op="placeholder")
    copies: dict[fx.Node, fx.Node] = dict(zip(placeholders, operands, strict=True))
    with graph.inserting_before(node):
        for part in parts.graph.nodes:
            if part.op == "output":
                break
            if part.op == "get_attr":  # a constant that was made while tracing
                raise NotTakenApartError(str(node.target))
            if part not in copies:
                copies[part] = graph.node_copy(part, copies.__getitem__)
                copies[part].meta = node.meta | {"val": part.meta.get("val")}
    result = parts.graph.output_node().args[0]
    if isinstance(result, fx.Node):
        node.replace_all_uses_with(copies[result])
    else:
        _replace_each(graph, node, [copies[one] for one in result])  # type: ignore[union-attr, index]
    graph.erase_node(node)


def _replace_each(graph: fx.Graph, node: fx.Node, results: list[fx.Node]) -> None:
    """Let the readers of each of a node's results read these."""
    for reader in list(node.users):
        reader.replace_all_uses_with(results[reader.args[1]])  # type: ignore[index]
        graph.erase_node(reader)


def _write_anew(node: fx.Node) -> None:
    """Let an operator that writes into its first operand give a new tensor, which all later readers take.

    Nothing else may look at the operand's memory: it is fresh, and whatever read it before made fresh tensors.
    """
    written, twin = node.args[0] if node.args else None, _twin(node)
    if twin is None or not isinstance(written, fx.Node) or not _is_fresh(written):
        raise NotTakenApartError(str(node.target))
    later = {reader for reader in written.users if reader > node}
    if not all(_is_fresh(reader) for reader in written.users if reader not in later and reader is not node):
        raise NotTakenApartError(str(node.target))
    node.target = twin
    for reader in later:
        reader.replace_input_with(written, node)


def _twin(node: fx.Node) -> OpOverload | None:
    """The operator that computes what a node's writes into its operand; None if a plan has none, or it differs."""
    function = node.target
    assert isinstance(function, OpOverload)
    packet = getattr(aten, function._schema.name.removeprefix("aten::").removesuffix("_"), None)
    twin = getattr(packet, function._overloadname, None)
    if not isinstance(twin, OpOverload) or twin._schema.is_mutable or function_name(twin) is None:
        return None
    value = node.meta["val"]
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), _value)
    with value.fake_mode, enable_python_dispatcher():
        result = twin(*args, **kwargs)
    return twin if isinstance(result, Tensor) and result.dtype == value.dtype else None


def _value(node: fx.Node) -> Any:
    """Value of a node, as far as tracing knows it."""
    if "val" not in node.meta:
        raise NotTakenApartError(str(node.target))
    return node.meta["val"]


def _is_fresh(node: fx.Node) -> bool:
    """True if what a node gives lies in memory of its own."""
    if not isinstance(node.meta.get("val"), Tensor):
        return node.op == "call_function"  # sizes and other numbers
    # one of several results, such as the largest values of topk, is as fresh as they are
    function = node.args[0].target if node.target is operator.getitem else node.target  # type: ignore[union-attr]
    if not isinstance(function, OpOverload) or any(one.alias_info is not None for one in function._schema.returns):
        return False
    return function in FRESH or not _is_composite(function)
