"""Limits on a stranger's ONNX file: how many nodes, what names, and whose files, before any of it is worked on."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

MOST_NODES = 2**16
"""Largest number of nodes of a model, its functions written out: exports of large language models have 20,000."""
LONGEST_NAME = 1024
DEEPEST = 32
"""Largest depth of graphs in graphs, or of functions that call functions."""


def check_limits(model: ModelProto, folder: Path, label: str, *, has_file: bool) -> None:
    """Raise ``InputError`` for names that are none, too many nodes, and data outside of the model's folder.

    has_file: True if the model was read from a file in ``folder``.
    """
    for graph in _graphs(model.graph, label):
        _check_names(graph.name, graph.node, graph, label)
        for tensor in graph.initializer:
            is_outer = graph is model.graph
            _check_data(tensor, folder if has_file else None, label, may_be_outside=is_outer)
    for function in model.functions:
        _check_names(function.name, function.node, None, label)
    for node in _all_nodes(model, label):
        for attribute in node.attribute:
            for tensor in (attribute.t, *attribute.tensors):
                _check_data(tensor, None, label, may_be_outside=False)
    written_out = _Counter(model, label).count(model.graph.node)
    if written_out > MOST_NODES:
        raise InputError(
            f"{label} has {written_out:.6g} nodes once its functions are written out; allowed: {MOST_NODES}"
        )


def _graphs(graph: GraphProto, label: str, depth: int = 0) -> Iterator[GraphProto]:
    """A graph and those inside its nodes."""
    if depth > DEEPEST:
        raise InputError(f"{label} has graphs in graphs more than {DEEPEST} deep")
    yield graph
    for node in graph.node:
        yield from _inside(node, label, depth + 1)


def _inside(node: NodeProto, label: str, depth: int) -> Iterator[GraphProto]:
    for inner in _own_graphs(node):
        yield from _graphs(inner, label, depth)


def _all_nodes(model: ModelProto, label: str) -> Iterator[NodeProto]:
    for graph in _graphs(model.graph, label):
        yield from graph.node
    for function in model.functions:
        for node in function.node:
            yield node
            for graph in _inside(node, label, 1):
                yield from graph.node


def _check_names(name: str, nodes: Iterable[NodeProto], graph: GraphProto | None, label: str) -> None:
    """Raise ``InputError`` for names that are too long, or no text: protobuf gives those of damaged files as bytes."""
    names: list[object] = [name]
    if graph is not None:
        for value in (*graph.input, *graph.output, *graph.value_info):
            names += [value.name, *(dimension.dim_param for dimension in value.type.tensor_type.shape.dim)]
        names += [tensor.name for tensor in graph.initializer]
    for node in nodes:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute)]
    for found in names:
        if not isinstance(found, str):
            raise InputError(f"{label} holds a name that is not text: the file is damaged")
        if len(found) > LONGEST_NAME:
            raise InputError(
                f"{label} holds a name of {len(found)} letters ({found[:40]!r}...); allowed: {LONGEST_NAME}"
            )
        if not found.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in found):
            raise InputError(f"{label} holds a name with control characters ({found[:80]!r}): the file is damaged")


def _check_data(tensor: TensorProto, folder: Path | None, label: str, *, may_be_outside: bool) -> None:
    """Raise ``InputError`` unless external data are files beside the model, long enough, and nowhere else."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    what = f"{label}: the data of constant {tensor.name!r}"
    if not may_be_outside:
        raise InputError(f"{what} are in a file of their own, which only a model's own constants may be")
    if folder is None:
        raise InputError(f"{what} are in a file; give the model's path")
    path = folder / location
    is_beside = bool(location) and "\0" not in location and len(location) <= LONGEST_NAME
    if not is_beside or path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{what} are at {shown(location)}, which is not a file beside the model")
    if not path.is_file():
        raise InputError(f"{what} are missing: there is no file {str(path)!r}")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
    except ValueError as error:
        raise InputError(f"{what} have an offset or length that is no number: {error}") from error
    if offset < 0 or length < 0 or offset + length > path.stat().st_size:
        raise InputError(f"{what} are bytes {offset} to {offset + length} of {str(path)!r}, which is shorter")


class _Counter:
    """Counter of nodes once functions are written out: a function that calls another twice doubles them."""

    def __init__(self, model: ModelProto, label: str) -> None:
        self._functions = {(function.domain, function.name): function for function in model.functions}
        self._counted: dict[int, int] = {}
        self._running: list[FunctionProto] = []
        self._label = label

    def count(self, nodes: Iterable[NodeProto]) -> int:
        """Number of nodes that these make once functions are written out."""
        return sum(map(self._of_node, nodes))

    def _of_node(self, node: NodeProto) -> int:
        inner = sum(self.count(graph.node) for graph in _own_graphs(node))
        function = self._functions.get((node.domain, node.op_type))
        return inner + (1 if function is None else self._of_function(function))

    def _of_function(self, function: FunctionProto) -> int:
        if any(function is other for other in self._running) or len(self._running) > DEEPEST:
            raise InputError(
                f"{self._label}: function {function.name!r} calls itself, or functions are more than {DEEPEST} deep"
            )
        if id(function) not in self._counted:
            self._running.append(function)
            self._counted[id(function)] = self.count(function.node)
            self._running.pop()
        return self._counted[id(function)]


def _own_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
