"""An fx graph as JSON and back, over the operators of the allow-list.

Arguments are JSON values; what JSON lacks is an object with one key: {"node": name}, {"dtype": "float32"},
{"device": "cpu"}, {"layout": "strided"}, {"memory_format": "..."}, {"number": "-inf"}.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import fx, nn

from tilewright.runtime.plan.literal_sizes import refuse_huge_sizes
from tilewright.runtime.plan.names import LOOP_PREFIX, MATMUL_PREFIX
from tilewright.runtime.plan.operator_arguments import Kind, Made, read_arguments, read_node, result_kind
from tilewright.runtime.plan.operators import allowed_function, function_name
from tilewright.runtime.plan.records import NodeRecord
from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

MOST_NODES = 2**17
"""Largest number of nodes of a graph."""
MOST_CALLS = 2**14
"""Largest number of calls of layers and of products of activations."""
RESERVED = {"self"}
"""Names that fx's source uses itself, beside those that it does not give away."""


def encode_graph(graph: fx.Graph) -> list[NodeRecord]:
    """Records of a graph's nodes, in order. Raises ``InputError`` for an operator that plans may not call."""
    return [_encode_node(node) for node in graph.nodes]


def _encode_node(node: fx.Node) -> NodeRecord:
    target = str(node.target)
    if node.op == "call_function":
        name = function_name(node.target)
        if name is None:
            raise InputError(f"node {node.name!r} calls {node.target}, which a plan may not call")
        target = name
    return NodeRecord(
        name=node.name,
        op=node.op,
        target=target,
        args=[_encode(argument) for argument in node.args],
        kwargs={key: _encode(value) for key, value in node.kwargs.items()},
    )


def _encode(value: Any) -> Any:
    match value:
        case fx.Node():
            return {"node": value.name}
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"number": str(value)}
        case list() | tuple():
            return [_encode(item) for item in value]
        case torch.device():
            return {"device": value.type}
        case torch.dtype() | torch.layout() | torch.memory_format():
            return {type(value).__name__: str(value).removeprefix("torch.")}
    raise InputError(f"an argument of type {type(value).__name__} has no place in a plan")


def decode_graph(nodes: list[NodeRecord], module_names: set[str], tensor_names: set[str]) -> fx.Graph:
    """The fx graph of these nodes.

    An input is called as its node is, since fx's source has no place for every name; ``meta["input"]`` is the plan's.

    Every name, operator and argument is checked, since fx writes and runs Python source of what it is given: names
    were matched to patterns by the schema, functions come from the allow-list. Raises ``InputError``.
    """
    if not nodes:
        raise InputError("the graph is empty")
    if len(nodes) > MOST_NODES or sum(record.op == "call_module" for record in nodes) > MOST_CALLS:
        raise InputError(f"the graph has more than {MOST_NODES} nodes, or {MOST_CALLS} calls of layers and products")
    graph = fx.Graph()
    made: dict[str, tuple[fx.Node, Kind]] = {}
    for place, record in enumerate(nodes):
        if record.name in made:
            raise InputError(f"the graph has two nodes named {record.name!r}")
        if (record.op == "output") != (place == len(nodes) - 1):
            raise InputError("the graph must end in its output, and have one")
        target, args, kwargs, kind = _decode_node(record, made, module_names, tensor_names)
        node = graph.create_node(record.op, target, args, kwargs, record.name)
        if node.name != record.name or record.name in RESERVED:
            raise InputError(f"node name {record.name!r} is reserved")
        if record.op == "placeholder":
            node.meta["input"] = record.target
        made[record.name] = (node, kind)
    return graph


def _decode_node(
    record: NodeRecord, made: Made, module_names: set[str], tensor_names: set[str]
) -> tuple[Any, tuple[Any, ...], dict[str, Any], Kind]:
    """Target, arguments, arguments by name and kind of result of a node."""
    where = f"node {record.name!r} ({record.target})"
    if record.op == "call_function":
        function = allowed_function(record.target)
        args, kwargs = read_arguments(where, function, record.args, record.kwargs, made)
        refuse_huge_sizes(where, function, args, kwargs)
        return function, args, kwargs, result_kind(function)
    if record.kwargs:
        raise InputError(f"{where} takes no arguments by name")
    if record.op == "output":
        results = record.args[0] if len(record.args) == 1 else None
        if not isinstance(results, list):
            raise InputError("the graph's output is not a list of nodes")
        return "output", ([read_node(where, result, made) for result in results],), {}, Kind.SEVERAL
    if record.op == "call_module":
        _check_known(where, record.target, module_names)
        if record.target.startswith(LOOP_PREFIX):
            return record.target, _loop_arguments(where, record, made), {}, Kind.SEVERAL
        return record.target, _module_arguments(where, record, made), {}, Kind.TENSOR
    if record.args:
        raise InputError(f"{where} takes no arguments")
    if record.op == "placeholder":
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", record.target) is None:
            raise InputError(f"input {shown(record.target)} is not a plain word")
        return record.name, (), {}, Kind.TENSOR
    _check_known(where, record.target, tensor_names)
    return record.target, (), {}, Kind.TENSOR


def _check_known(where: str, target: str, known: set[str]) -> None:
    if target not in known:
        raise InputError(f"{where}: there is no {target!r} in this plan")


def _module_arguments(where: str, record: NodeRecord, made: Made) -> tuple[Any, ...]:
    """Arguments of a layer, an input, the number of the use and what chooses vectors, or of a product, its operands."""
    product = record.target.startswith(MATMUL_PREFIX)
    if not (2 if product else 1) <= len(record.args) <= (2 if product else 3):
        takes = "two nodes" if product else "x, use, chosen"
        raise InputError(f"{where} has {len(record.args)} arguments; it takes {takes}")
    first, *rest = record.args
    if product:
        return read_node(where, first, made), read_node(where, rest[0], made)
    use = rest[0] if rest else 0
    if isinstance(use, bool) or not isinstance(use, int) or not 0 <= use < MOST_NODES:
        raise InputError(f"{where}: its use is {shown(use)}, which is not a number from 0")
    return read_node(where, first, made), use, *(read_node(where, one, made) for one in rest[1:])


def _loop_arguments(where: str, record: NodeRecord, made: Made) -> tuple[list[fx.Node], ...]:
    """Arguments of a loop: states, sequences, and what stays the same."""
    if len(record.args) != 3 or not all(isinstance(one, list) for one in record.args):
        raise InputError(f"{where} takes three lists of nodes: states, sequences, and what stays the same")
    return tuple([read_node(where, value, made) for value in values] for values in record.args)


def build_module(
    graph: fx.Graph,
    modules: dict[str, nn.Module],
    tensors: dict[str, torch.Tensor],
    kind: type[fx.GraphModule] = fx.GraphModule,
) -> fx.GraphModule:
    """A GraphModule whose calls go to ``modules`` and whose attributes are ``tensors``."""
    root = nn.Module()
    holder = fx.GraphModule(root, fx.Graph())
    for name, module in modules.items():
        holder.add_submodule(name, module)
    for name, tensor in tensors.items():
        set_tensor(holder, name, tensor)
    return kind(holder, graph)


def set_tensor(root: nn.Module, path: str, tensor: torch.Tensor) -> None:
    """Put a tensor at a dotted path, making the modules on the way."""
    module, last = place_at(root, path)
    module.register_buffer(last, tensor)


def place_at(root: nn.Module, path: str) -> tuple[nn.Module, str]:
    """The module that a dotted path leads to, made on the way where it is missing, and the path's last word."""
    *parents, last = path.split(".")
    for part in parents:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    return root, last
