"""Limits on a stranger's ONNX file: how many nodes, what names, and whose files, before any of it is worked on."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
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
    for owner in (model.graph, *model.functions):
        for graph in _graphs(owner, label):
            _check_names(graph, label)
            for tensor in graph.initializer if isinstance(graph, GraphProto) else ():
                _check_data(tensor, folder if has_file else None, label, may_be_outside=graph is model.graph)
            for attribute in (attribute for node in graph.node for attribute in node.attribute):
                for tensor in (attribute.t, *attribute.tensors):
                    _check_data(tensor, None, label, may_be_outside=False)
    written_out = _written_out(model, label)
    if written_out > MOST_NODES:
        raise InputError(
            f"{label} has {written_out:.6g} nodes once its functions are written out; allowed: {MOST_NODES}"
        )


def _graphs(owner: GraphProto | FunctionProto, label: str, depth: int = 0) -> Iterator[GraphProto | FunctionProto]:
    """A graph or function, and the graphs inside its nodes."""
    if depth > DEEPEST:
        raise InputError(f"{label} has graphs in graphs more than {DEEPEST} deep")
    yield owner
    for node in owner.node:
        for inner in _own_graphs(node):
            yield from _graphs(inner, label, depth + 1)


def _check_names(owner: GraphProto | FunctionProto, label: str) -> None:
    """Raise ``InputError`` for names that are too long, or no text: protobuf gives those of damaged files as bytes."""
    names: list[object] = [owner.name]
    if isinstance(owner, GraphProto):
        for value in (*owner.input, *owner.output, *owner.value_info):
            names += [value.name, *(dimension.dim_param for dimension in value.type.tensor_type.shape.dim)]
        names += [tensor.name for tensor in owner.initializer]
    for node in owner.node:
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


def _written_out(model: ModelProto, label: str) -> int:
    """Number of nodes once functions are written out: a function that calls another twice doubles them."""
    functions = {(function.domain, function.name): function for function in model.functions}
    running: list[tuple[str, str]] = []

    def count(nodes: Sequence[NodeProto]) -> int:
        inner = sum(count(graph.node) for node in nodes for graph in _own_graphs(node))
        return inner + sum(of_operator(node.domain, node.op_type) for node in nodes)

    @cache
    def of_operator(*name: str) -> int:
        if name not in functions:
            return 1
        if name in running or len(running) > DEEPEST:
            raise InputError(f"{label}: function {name[1]!r} calls itself, or functions are more than {DEEPEST} deep")
        running.append(name)
        found = count(functions[name].node)
        running.pop()
        return found

    return count(model.graph.node)


def _own_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
