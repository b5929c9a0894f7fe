"""Quantised models in full precision: the chip's own converters do the rounding.

Stored integers become the numbers they stand for. Activations are not rounded any more, but still limited to the range
of their integers: tools that quantise leave out a ReLU whose work that limit does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from tilewright.compiler.frontends.onnx.constants import constants_of, read_tensor
from tilewright.compiler.frontends.onnx.values import Numbers
from tilewright.targets.errors import InputError

QUANTISED = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearMatMul",
    "QLinearConv",
)  # fmt: skip
DOMAINS = ("", "ai.onnx", "com.microsoft")


def is_quantised(graph: GraphProto) -> bool:
    """Whether any node computes with quantised numbers."""
    return any(node.op_type in QUANTISED and node.domain in DOMAINS for node in graph.node)


def dequantised(model: ModelProto, folder: str) -> tuple[ModelProto, str]:
    """The model in full precision, and a sentence for the plan that says what was changed.

    Raises ``InputError`` for scales that are computed and for quantisation by blocks.
    """
    result = ModelProto()
    result.CopyFrom(model)
    work = _Dequantiser(result.graph, folder)
    nodes = [new for node in list(result.graph.node) for new in work.rewrite(node)]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    del result.graph.value_info[:]
    used = {name for node in nodes for name in node.input} | {output.name for output in result.graph.output}
    kept = [tensor for tensor in result.graph.initializer if tensor.name in used]
    del result.graph.initializer[:]
    result.graph.initializer.extend(kept)
    result.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in work.made.items())
    note = (
        f"the model is quantised: {len(work.weights)} stored tensors were dequantised to float32, and "
        f"{work.activations} roundings of activations were left to the converters of the tiles"
    )
    return result, note


class _Dequantiser:
    def __init__(self, graph: GraphProto, folder: str) -> None:
        self.folder = folder
        self.constants = constants_of(graph)
        self.made: dict[str, Numbers] = {}
        """New initializers."""
        self.weights: set[str] = set()
        self.activations = 0
        self.without_offset: set[str] = set()
        """Zero points of activations that are not rounded any more."""

    def rewrite(self, node: NodeProto) -> Iterator[NodeProto]:
        """The nodes that stand for this one."""
        if node.op_type not in QUANTISED or node.domain not in DOMAINS:
            yield node
        elif node.op_type == "DequantizeLinear":
            yield from self._dequantize(node)
        elif node.op_type == "QuantizeLinear":
            self.activations += 1
            yield from self._limit(node, node.input[0], node.output[0], node.input[1], _at(node, 2))
        elif node.op_type == "DynamicQuantizeLinear":
            self.activations += 1
            values, scale, zero = node.output
            self.made |= {scale: np.array(1.0, np.float32), zero: np.array(0.0, np.float32)}
            self.without_offset.add(zero)
            yield helper.make_node("Identity", [node.input[0]], [values], node.name)
        elif node.op_type in ("MatMulInteger", "ConvInteger"):
            yield from self._integer_product(node)
        else:
            yield from self._linear_product(node)

    def _constant(self, name: str, node: NodeProto, what: str) -> Numbers:
        if name in self.made:
            return self.made[name]
        if name not in self.constants:
            raise InputError(f"node {node.name!r} ({node.op_type}): its {what} is computed; it must be constant")
        return read_tensor(self.constants[name], self.folder, name)

    def _real(self, node: NodeProto, stored: str, scale: str, zero: str, axis: int) -> Numbers:
        """What stored integers stand for: (q - zero) x scale, along an axis or for all."""
        integers = self._constant(stored, node, "quantised tensor").astype(np.float64)
        scales = self._constant(scale, node, "scale").astype(np.float64)
        zeros = self._constant(zero, node, "zero point").astype(np.float64) if zero else np.zeros_like(scales)
        if scales.ndim > 1:
            raise InputError(f"node {node.name!r} ({node.op_type}): quantisation by blocks is not supported")
        if scales.size > 1:
            shape = [1] * integers.ndim
            shape[axis] = scales.size
            scales, zeros = scales.reshape(shape), np.broadcast_to(zeros, scales.shape).reshape(shape)
        self.weights.add(stored)
        return ((integers - zeros.reshape(zeros.shape or ())) * scales).astype(np.float32)

    def _dequantize(self, node: NodeProto) -> Iterator[NodeProto]:
        stored = node.input[0]
        if stored in self.constants:
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
            self.made[node.output[0]] = self._real(node, stored, node.input[1], _at(node, 2), axis)
        else:
            yield helper.make_node("Identity", [stored], [node.output[0]], node.name)

    def _limit(self, node: NodeProto, source: str, result: str, scale: str, zero: str) -> Iterator[NodeProto]:
        """Values kept in the range that their integers had."""
        scales = self._constant(scale, node, "scale").astype(np.float64)
        if scales.size > 1:
            raise InputError(
                f"node {node.name!r} ({node.op_type}): activations with a scale a channel are not supported"
            )
        zeros = self._constant(zero, node, "zero point") if zero else np.array(0, np.uint8)
        limits = np.iinfo(zeros.dtype if zeros.dtype.kind in "iu" else np.uint8)
        low, high = f"{result}.lowest", f"{result}.highest"
        for name, integer in ((low, limits.min), (high, limits.max)):
            real = (float(integer) - zeros.astype(np.float64).reshape(-1)[0]) * scales.reshape(-1)[0]
            self.made[name] = np.array(real, np.float32)
        yield helper.make_node("Clip", [source, low, high], [result], node.name)

    def _integer_product(self, node: NodeProto) -> Iterator[NodeProto]:
        """MatMulInteger, ConvInteger: the products of what is left after the zero points."""
        operands = []
        for place, zero in ((0, _at(node, 2)), (1, _at(node, 3))):
            name = node.input[place]
            if name in self.constants:
                integers = self._constant(name, node, "operand").astype(np.float32)
                zeros = self._constant(zero, node, "zero point").astype(np.float32) if zero else np.float32(0)
                if isinstance(zeros, np.ndarray) and zeros.size > 1 and node.op_type == "ConvInteger":
                    zeros = zeros.reshape(-1, *[1] * (integers.ndim - 1))
                self.made[f"{name}.float"] = np.asarray(integers - zeros, np.float32)
                self.weights.add(name)
                operands.append(f"{name}.float")
            elif zero and zero not in self.without_offset:
                self.made[f"{node.name}.{zero}.float"] = self._constant(zero, node, "zero point").astype(np.float32)
                yield helper.make_node("Cast", [name], [f"{node.output[0]}.{place}.real"], to=1)
                both = [f"{node.output[0]}.{place}.real", f"{node.name}.{zero}.float"]
                yield helper.make_node("Sub", both, [f"{node.output[0]}.{place}"])
                operands.append(f"{node.output[0]}.{place}")
            elif zero:
                operands.append(name)
            else:
                yield helper.make_node("Cast", [name], [f"{node.output[0]}.{place}"], to=1)
                operands.append(f"{node.output[0]}.{place}")
        plain = node.op_type.removesuffix("Integer")
        made = helper.make_node(plain, operands, node.output, node.name)
        made.attribute.extend(node.attribute)
        yield made

    def _linear_product(self, node: NodeProto) -> Iterator[NodeProto]:
        """QLinearMatMul, QLinearConv: a product with everything quantised around it."""
        left, _, _, right, right_scale, right_zero, scale, zero = node.input[:8]
        is_convolution = node.op_type == "QLinearConv"
        inputs = [left, right]
        if right in self.constants:
            axis = 0 if is_convolution else -1
            self.made[f"{right}.float"] = self._real(node, right, right_scale, right_zero, axis)
            inputs[1] = f"{right}.float"
        if is_convolution and _at(node, 8):
            units = self._constant(node.input[1], node, "scale") * self._constant(right_scale, node, "scale")
            bias = self._constant(node.input[8], node, "bias").astype(np.float64) * units.astype(np.float64)
            self.made[f"{node.input[8]}.float"] = bias.reshape(-1).astype(np.float32)
            inputs.append(f"{node.input[8]}.float")
        made = helper.make_node("Conv" if is_convolution else "MatMul", inputs, [f"{node.output[0]}.full"], node.name)
        made.attribute.extend(node.attribute)
        yield made
        self.activations += 1
        yield from self._limit(node, f"{node.output[0]}.full", node.output[0], scale, zero)


def _at(node: NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""
