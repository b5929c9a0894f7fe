"""An fx graph as JSON and back, over the operators of the allow-list.

Arguments are JSON values; what JSON lacks is an object with one key: {"node": name}, {"dtype": "float32"},
{"device": "cpu"}, {"layout": "strided"}, {"memory_format": "..."}, {"number": "-inf"}.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from tilewright.runtime.operators import allowed_function, function_name
from tilewright.runtime.plan import NodeRecord
from tilewright.targets.errors import InputError

LARGEST_LITERAL_TENSOR = 2**28
"""Elements that sizes written in a plan may ask for; sizes that follow from inputs are not literals."""

_DTYPES = {str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_MEMORY_FORMATS = {"contiguous_format": torch.contiguous_format, "preserve_format": torch.preserve_format}
_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_SIZED = (
    "new_full", "new_ones", "new_zeros", "full", "ones", "zeros", "arange", "linspace", "eye", "one_hot", "expand",
    "broadcast_to", "repeat", "repeat_interleave", "tile", "col2im", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
)  # fmt: skip
"""Functions that make tensors of the sizes that they are given."""
_SCALING = ("upsample", "im2col", "conv_transpose", "pixel_shuffle")
"""Beginnings of names of functions that multiply sizes by what they are given."""
LARGEST_PADDING = 2**20
"""Elements that may be added at one side."""


def encode_graph(graph: fx.Graph) -> list[NodeRecord]:
    """The nodes in order. Raises ``InputError`` for an operator that plans may not call."""
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
        case torch.dtype():
            return {"dtype": str(value).removeprefix("torch.")}
        case torch.device():
            return {"device": value.type}
        case torch.layout():
            return {"layout": str(value).removeprefix("torch.")}
        case torch.memory_format():
            return {"memory_format": str(value).removeprefix("torch.")}
    raise InputError(f"an argument of type {type(value).__name__} has no place in a plan")


def decode_graph(nodes: list[NodeRecord], module_names: set[str], tensor_names: set[str]) -> fx.Graph:
    """The fx graph of these nodes.

    Every name, operator and argument is checked, since fx writes and runs Python source of what it is given: names
    were matched to patterns by the schema, functions come from the allow-list. Raises ``InputError``.
    """
    graph = fx.Graph()
    made: dict[str, fx.Node] = {}
    for place, record in enumerate(nodes):
        if record.name in made:
            raise InputError(f"the graph has two nodes named {record.name!r}")
        if (record.op == "output") != (place == len(nodes) - 1):
            raise InputError("the graph must end in its output, and have one")
        target = _decode_target(record, module_names, tensor_names)
        args = tuple(_decode(argument, made, record.name) for argument in record.args)
        kwargs = {key: _decode(value, made, record.name) for key, value in record.kwargs.items()}
        _refuse_huge_literals(record)
        node = graph.create_node(record.op, target, args, kwargs, record.name)
        if node.name != record.name:
            raise InputError(f"node name {record.name!r} is reserved")
        made[record.name] = node
    if not nodes:
        raise InputError("the graph is empty")
    return graph


def _decode_target(record: NodeRecord, module_names: set[str], tensor_names: set[str]) -> Any:
    if record.op == "call_function":
        return allowed_function(record.target)
    if record.op == "placeholder":
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", record.target) is None or keyword.iskeyword(record.target):
            raise InputError(f"input {record.target[:40]!r} is not a plain word")
        return record.target
    known = {"call_module": module_names, "get_attr": tensor_names, "output": {"output"}}[record.op]
    if record.target not in known:
        raise InputError(f"node {record.name!r}: there is no {record.op} target {record.target!r} in this plan")
    return record.target


def _decode(value: Any, made: dict[str, fx.Node], where: str) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if len(value) > 64 or not value.isprintable():
            raise InputError(f"node {where!r}: text argument {value[:20]!r} is not allowed")
        return value
    if isinstance(value, list):
        return [_decode(item, made, where) for item in value]
    if isinstance(value, dict) and len(value) == 1:
        (kind, content), *_ = value.items()
        decoders: dict[str, Callable[[Any], Any]] = {
            "node": made.__getitem__,
            "dtype": _DTYPES.__getitem__,
            "device": {"cpu": torch.device("cpu")}.__getitem__,
            "layout": {"strided": torch.strided}.__getitem__,
            "memory_format": _MEMORY_FORMATS.__getitem__,
            "number": _NUMBERS.__getitem__,
        }
        try:
            return decoders[kind](content)
        except (KeyError, TypeError):
            pass
    raise InputError(
        f"node {where!r}: argument {str(value)[:60]} is not one a plan may hold (or comes before its node)"
    )


def _refuse_huge_literals(record: NodeRecord) -> None:
    if record.op != "call_function":
        return
    function = record.target.split(".")[1]
    if "pad" in function:
        _refuse_huge_padding(record)
    elif function in _SIZED or function.startswith(_SCALING):
        for argument in [record.args, *record.args, *record.kwargs.values()]:
            sizes = argument if isinstance(argument, list) else [argument]
            literal = math.prod(abs(size) for size in sizes if isinstance(size, int | float) and size)
            if literal > LARGEST_LITERAL_TENSOR:
                raise InputError(
                    f"node {record.name!r} asks for {literal} elements, allowed are {LARGEST_LITERAL_TENSOR}"
                )


def _refuse_huge_padding(record: NodeRecord) -> None:
    for argument in record.args:
        for width in argument if isinstance(argument, list) else []:
            if isinstance(width, int) and abs(width) > LARGEST_PADDING:
                raise InputError(f"node {record.name!r} pads by {width} elements, allowed are {LARGEST_PADDING}")


def build_module(graph: fx.Graph, modules: dict[str, nn.Module], tensors: dict[str, torch.Tensor]) -> fx.GraphModule:
    """A GraphModule whose calls go to ``modules`` and whose attributes are ``tensors``."""
    root = nn.Module()
    holder = fx.GraphModule(root, fx.Graph())
    for name, module in modules.items():
        holder.add_submodule(name, module)
    for name, tensor in tensors.items():
        set_tensor(holder, name, tensor)
    return fx.GraphModule(holder, graph)


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
