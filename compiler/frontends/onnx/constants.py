"""The tensors that are stored in an ONNX file."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from tilewright.compiler.frontends.foreign_errors import refusing
from tilewright.compiler.frontends.onnx.values import Numbers
from tilewright.runtime.plan.records import UnusedTensor
from tilewright.targets.errors import InputError


def read_tensor(tensor: TensorProto, folder: str, name: str) -> Numbers:
    """The numbers of a stored tensor. Raises ``InputError`` if its data do not fit its shape or are missing."""
    with refusing(f"constant {name!r} cannot be read"):
        array: Numbers = numpy_helper.to_array(tensor, folder)
    is_plain = array.dtype.kind in "biuf" and array.dtype.type.__module__ == "numpy"
    return array if is_plain else array.astype(np.float32)


def constants_of(graph: GraphProto) -> dict[str, TensorProto]:
    """Constants of a graph by name: its initializers, and tensors of its Constant nodes."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant_node(node)
    return constants


def _constant_node(node: NodeProto) -> TensorProto:
    for attribute in node.attribute:
        if attribute.name == "value":
            return attribute.t
        if attribute.name in ("value_float", "value_int", "value_floats", "value_ints"):
            value = onnx.helper.get_attribute_value(attribute)
            is_float = "float" in attribute.name
            return numpy_helper.from_array(np.array(value, np.float32 if is_float else np.int64), node.output[0])
    raise InputError(f"node {node.name!r} (Constant) holds no numbers")


def read_names(graph: GraphProto) -> set[str]:
    """Names that any node reads, in branches too, and names of the graph's outputs."""
    found = {value.name for value in graph.output}
    for node in graph.node:
        found.update(node.input)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found |= read_names(inner)
    return found


def unread(graph: GraphProto) -> list[UnusedTensor]:
    """The initializers that nothing reads."""
    read = read_names(graph)
    unused = (tensor for tensor in graph.initializer if tensor.name not in read)
    return [UnusedTensor(name=tensor.name, shape=list(tensor.dims)) for tensor in unused]


MULTIPLIED = {
    "MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "BatchNormalization", "LayerNormalization", "PRelu",
    "InstanceNormalization", "GroupNormalization", "RMSNormalization", "Gather", "LSTM", "GRU", "RNN",
}  # fmt: skip
"""Operators whose constants are weights, never masks: an infinity among them makes all outputs infinite or NaN."""


def weights_of(graph: GraphProto) -> set[str]:
    """Constants that an operator of ``MULTIPLIED`` reads."""
    return {name for node in graph.node if node.op_type in MULTIPLIED for name in node.input}
