"""Graph of the same function with fewer kinds of node: no checks, no dropout, no copies, constants folded."""

from __future__ import annotations

import operator
import re
from typing import Any

import torch
from torch import fx

from tilewright.compiler.network.network import Network
from tilewright.runtime.plan.names import LOOP_PREFIX
from tilewright.runtime.storage.memory_place import memory_place

aten = torch.ops.aten

CHECKS = ("_assert", "sym_constrain_range")
"""Names of operators that only check what tracing assumed; the plan's inputs are checked by their shapes instead."""

COPIES = {aten.dropout.default, aten.alias.default, aten.detach.default, aten.contiguous.default, aten.clone.default}
"""Operators that return their input in eval mode."""

CASTS = {aten.to.dtype, aten.to.dtype_layout, aten.to.device, aten._to_copy.default}
VIEWS = {aten.view.default, aten._unsafe_view.default}
LARGEST_FOLDED = 2**20
"""Largest number of elements of a folded constant whose operands have fewer."""


def canonicalize(network: Network) -> None:
    """Clean the traced graph in place."""
    graph = network.graph.graph
    _find_origins(network)
    for node in list(graph.nodes):
        if (node.op == "call_module" and not str(node.target).startswith(LOOP_PREFIX)) or _is_check(node):
            graph.erase_node(node)
        elif node.target in COPIES or _casts_nothing(node):
            network.replace(node, node.args[0])
        elif node.target in VIEWS:
            node.target = aten.reshape.default  # a view needs its input's strides, which passes may change
        elif node.target == aten._native_batch_norm_legit_no_training.default:
            _plain_batch_norm(network, node)
    _fold_constants(network)
    network.tidy()


def _find_origins(network: Network) -> None:
    """Find the parameter that each tensor of the graph is: the one that lies at its place in memory (tied names do)."""
    parameters: dict[tuple[object, int], str] = {}
    for name, tensor in network.parameters.items():
        parameters.setdefault((memory_place(tensor), tensor.numel()), name)
    for node in network.graph.graph.nodes:
        constant = network.tensor(node)
        if constant is not None:
            found = parameters.get((memory_place(constant), constant.numel())) if constant.numel() else None
            network.origins[str(node.target)] = () if found is None else (found,)
            if found is not None:
                network.own.add(str(node.target))
            _give_plain_name(network, node, constant)
    network.parameters = {name: tensor.to("meta") for name, tensor in network.parameters.items()}


def _give_plain_name(network: Network, node: fx.Node, constant: torch.Tensor) -> None:
    """Give a constant a plain name: tracing takes its module's path, which may hold more than words."""
    words = str(node.target).split(".")
    plain = [re.sub(r"\W", "_", word, flags=re.ASCII) for word in words if word[0] != "-"]
    if plain != words:
        node.target = network.add_tensor(".".join(plain) or "constant", constant, (str(node.target),))


def _plain_batch_norm(network: Network, node: fx.Node) -> None:
    """Replace a batch norm that has three results, of which inference uses the first, by the form with one."""
    x, weight, bias, mean, variance, momentum, epsilon = node.args
    for user in list(node.users):
        if user.target is not operator.getitem or user.args[1] != 0:
            continue
        with network.graph.graph.inserting_before(user):
            arguments = (x, weight, bias, mean, variance, False, momentum, epsilon, False)
            plain = network.graph.graph.call_function(aten.batch_norm.default, arguments)
        plain.meta = dict(user.meta)
        network.replace(user, plain)


def _is_check(node: fx.Node) -> bool:
    name = getattr(node.target, "__name__", str(node.target))
    return node.op == "call_function" and not node.users and any(check in name for check in CHECKS)


def _casts_nothing(node: fx.Node) -> bool:
    if node.target not in CASTS or not isinstance(node.args[0], fx.Node):
        return False
    before, after = node.args[0].meta.get("val"), node.meta.get("val")
    return isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor) and before.dtype == after.dtype


def _fold_constants(network: Network) -> None:
    """Compute constants from weights once, such as the transpose of one."""
    for node in list(network.graph.graph.nodes):
        if not node.all_input_nodes or not isinstance(node.target, torch._ops.OpOverload):
            continue
        found = {operand: network.tensor(operand) for operand in node.all_input_nodes}
        sizes = {operand: tensor.numel() for operand, tensor in found.items() if tensor is not None}
        if len(sizes) < len(found) or not _is_worth_folding(network, node, sum(sizes.values())):
            continue
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), found.__getitem__)
        with torch.no_grad():
            folded = node.target(*args, **kwargs)
        sources = tuple(str(operand.target) for operand in found)
        name = str(max(sizes, key=sizes.__getitem__).target)
        if node.target is aten.select.int and node.args[1] == 0:  # one of a stack of matrices, such as of experts
            name = f"{name}.{node.args[2]}"
        _replace(network, node, folded, name, sources)


def _is_worth_folding(network: Network, node: fx.Node, size: int) -> bool:
    """True if the result of a node is known and not much larger than its operands, which have ``size`` elements."""
    if node.target is aten.item.default:
        return network.traced.has_weights
    expected = node.meta.get("val")
    return all(
        isinstance(result, torch.Tensor) and result.numel() <= max(size, LARGEST_FOLDED)
        for result in (expected if isinstance(expected, list | tuple) else [expected])
    )


def _replace(network: Network, node: fx.Node, folded: Any, name: str, sources: tuple[str, ...]) -> None:
    """Put a number, a tensor, or each of several in place of a node that computes it."""
    graph = network.graph.graph
    if isinstance(folded, list | tuple):
        for user in list(node.users):
            if user.target is operator.getitem:
                _replace(network, user, folded[user.args[1]], name, sources)  # type: ignore[index]
    elif isinstance(folded, torch.Tensor):
        with graph.inserting_before(node):
            constant = graph.get_attr(network.add_tensor(name, folded, sources))
        constant.meta = dict(node.meta)
        node.replace_all_uses_with(constant)
    else:
        for user in list(node.users):
            arguments = user.args, user.kwargs
            user.args, user.kwargs = fx.node.map_arg(arguments, lambda used: folded if used is node else used)
    if not node.users:
        graph.erase_node(node)
