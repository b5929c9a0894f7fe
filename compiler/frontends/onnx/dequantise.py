"""Dequantising of models to full precision: the chip's own converters do the rounding.

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

ON_ONE = {
    "QLinearSigmoid": "Sigmoid", "QLinearLeakyRelu": "LeakyRelu", "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool", "QLinearSoftmax": "Softmax",
}  # fmt: skip
"""onnxruntime's own quantised operators of one activation -> ONNX's."""
ON_TWO = {"QLinearAdd": "Add", "QLinearMul": "Mul"}
MOVING = ("Gather", "Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Expand", "Tile")
"""Operators that move numbers, whatever they stand for."""
SUMS = ("Add", "Sub")
"""Operators on sums of integers before they are scaled."""
QUANTISED = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearMatMul",
    "QLinearConv", "QGemm", "DynamicQuantizeLSTM", *ON_ONE, *ON_TWO,
)  # fmt: skip
DOMAINS = ("", "ai.onnx", "com.microsoft")


def is_quantised(graph: GraphProto) -> bool:
    """True if any node computes with quantised numbers."""
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
        """New initializers, by name."""
        self.weights: set[str] = set()
        self.activations = 0
        self.without_offset: set[str] = set()
        """Zero points of activations that are not rounded any more."""
        self.scales: dict[str, Numbers] = {}
        """Scales of activations that were integers and are now real numbers, by name."""
        self.sums: set[str] = set()
        """Sums of products that were integers and are now real numbers."""
        self.integer_inputs = {value.name for value in graph.input if value.type.tensor_type.elem_type in (2, 3)}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.moved: dict[str, NodeProto] = {}
        """DequantizeLinear nodes of stored tensors that are moved as integers before, by the tensors' names."""
        for node in graph.node:
            if node.op_type == "DequantizeLinear" and node.input[0] not in self.constants:
                origin = self._origin(node.input[0])
                if origin in self.constants:
                    self.moved[origin] = node

    def _way_back(self, name: str) -> Iterator[str]:
        """Names of a tensor and of those that it was moved from, back to the origin of its numbers."""
        yield name
        while name in self.makers and self.makers[name].op_type in MOVING:
            name = str(self.makers[name].input[0])
            yield name

    def _origin(self, name: str) -> str:
        """Name of the tensor that numbers come from, before they were moved."""
        return list(self._way_back(name))[-1]

    def rewrite(self, node: NodeProto) -> Iterator[NodeProto]:
        """The nodes that stand for this one."""
        if node.op_type not in QUANTISED or node.domain not in DOMAINS:
            yield from self._other(node)
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
        elif node.op_type == "DynamicQuantizeLSTM":
            yield self._recurrent(node)
        elif node.op_type in ON_ONE:
            yield from self._plain(node, ON_ONE[node.op_type], [node.input[0]], node.input[3], _at(node, 4))
        elif node.op_type in ON_TWO:
            left, right = self._operand(node, 0), self._operand(node, 3)
            yield from self._plain(node, ON_TWO[node.op_type], [left, right], node.input[6], _at(node, 7))
        else:
            yield from self._linear_product(node)

    def _other(self, node: NodeProto) -> Iterator[NodeProto]:
        """A node that is not quantised, on real numbers where its inputs were integers."""
        if node.op_type in MOVING and node.input and node.input[0] in self.moved:
            yield self._moved(node)
        elif node.op_type in SUMS and any(name in self.sums for name in node.input):
            yield from self._sum(node)
        else:
            yield node

    def _sum(self, node: NodeProto) -> Iterator[NodeProto]:
        """An operator on sums of integers, such as with a bias, on real numbers."""
        made = NodeProto()
        made.CopyFrom(node)
        for place, name in enumerate(node.input):
            if name not in self.sums:
                made.input[place] = f"{node.output[0]}.{place}.real"
                yield helper.make_node("Cast", [name], [made.input[place]], to=1)
        self.sums.add(node.output[0])
        yield made

    def _moved(self, node: NodeProto) -> NodeProto:
        """A move of integers as a move of the real numbers they stand for."""
        stored = node.input[0]
        reader = self.moved[stored]
        made = NodeProto()
        made.CopyFrom(node)
        made.input[0] = self._make(f"{stored}.float", self._real(reader, stored, reader.input[1], _at(reader, 2), 0))
        self.scales[node.output[0]] = self._constant(reader.input[1], reader, "scale")
        return made

    def _scale_of(self, name: str) -> Numbers | None:
        """The scale of an activation in real numbers, seen through moves; None for other tensors."""
        return next((self.scales[tensor] for tensor in self._way_back(name) if tensor in self.scales), None)

    def _operand(self, node: NodeProto, place: int) -> str:
        """An operand that is followed by its scale and zero point: stored, or an activation in real numbers."""
        name = str(node.input[place])
        if name not in self.constants:
            return name
        return self._make(f"{name}.float", self._real(node, name, node.input[place + 1], _at(node, place + 2), 0))

    def _plain(self, node: NodeProto, operator: str, inputs: list[str], scale: str, zero: str) -> Iterator[NodeProto]:
        """An operator of real numbers, its result kept in the range of its integers."""
        self.activations += 1
        made = helper.make_node(operator, inputs, [f"{node.output[0]}.full"], node.name)
        made.attribute.extend(entry for entry in node.attribute if entry.name not in ("channels_last", "opset"))
        yield made
        if scale:
            yield from self._limit(node, f"{node.output[0]}.full", node.output[0], scale, zero)
        else:
            yield helper.make_node("Identity", [f"{node.output[0]}.full"], [node.output[0]])

    def _make(self, name: str, values: object) -> str:
        """Make a constant of float32 numbers. Returns its name."""
        self.made[name] = np.asarray(values, np.float32)
        return name

    def _constant(self, name: str, node: NodeProto, what: str) -> Numbers:
        if name in self.made:
            return self.made[name]
        if name not in self.constants:
            raise InputError(f"node {node.name!r} ({node.op_type}): its {what} is computed; it must be constant")
        return read_tensor(self.constants[name], self.folder, name)

    def _real(self, node: NodeProto, stored: str, scale: str, zero: str, axis: int) -> Numbers:
        """Real numbers for stored integers: (q - zero) x scale, along an axis or for all."""
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
        elif self._origin(stored) in self.integer_inputs:
            scale, zero = self._constant(node.input[1], node, "scale"), _at(node, 2)
            offset = self._constant(zero, node, "zero point") if zero else np.array(0)
            result = node.output[0]
            self.made[f"{result}.scale"] = scale
            yield from self._without(f"{result}.offset", offset, stored, f"{result}.integer", f"{result}.signed")
            yield helper.make_node("Mul", [f"{result}.signed", f"{result}.scale"], [result], node.name)
        else:
            yield helper.make_node("Identity", [stored], [node.output[0]], node.name)

    def _without(self, name: str, offset: Numbers, source: str, real: str, result: str) -> Iterator[NodeProto]:
        """Integers as real numbers, less an offset that becomes a constant."""
        yield helper.make_node("Cast", [source], [real], to=1)
        yield helper.make_node("Sub", [real, self._make(name, offset)], [result])

    def _limit(self, node: NodeProto, source: str, result: str, scale: str, zero: str) -> Iterator[NodeProto]:
        """Values kept in the range that their integers had."""
        scales = self._constant(scale, node, "scale").astype(np.float64)
        if scales.size > 1:
            raise InputError(
                f"node {node.name!r} ({node.op_type}): activations with a scale a channel are not supported"
            )
        self.scales[result] = scales
        zeros = self._constant(zero, node, "zero point") if zero else np.array(0, np.uint8)
        limits = np.iinfo(zeros.dtype if zeros.dtype.kind in "iu" else np.uint8)
        ends = [
            self._make(name, (float(integer) - zeros.astype(np.float64).reshape(-1)[0]) * scales.reshape(-1)[0])
            for name, integer in ((f"{result}.lowest", limits.min), (f"{result}.highest", limits.max))
        ]
        yield helper.make_node("Clip", [source, *ends], [result])

    def _integer_product(self, node: NodeProto) -> Iterator[NodeProto]:
        """Nodes for MatMulInteger or ConvInteger: the product of the operands less their zero points."""
        operands = []
        for place, zero in ((0, _at(node, 2)), (1, _at(node, 3))):
            name, made = node.input[place], f"{node.output[0]}.{place}"
            if name in self.constants:
                integers = self._constant(name, node, "operand").astype(np.float32)
                zeros = self._constant(zero, node, "zero point").astype(np.float32) if zero else np.float32(0)
                if isinstance(zeros, np.ndarray) and zeros.size > 1 and node.op_type == "ConvInteger":
                    zeros = zeros.reshape(-1, *[1] * (integers.ndim - 1))
                self.weights.add(name)
                made = self._make(f"{name}.float", integers - zeros)
            elif (scale := self._scale_of(name)) is not None:  # the products are multiplied by it further on
                yield helper.make_node("Mul", [name, self._make(f"{name}.per_scale", 1 / scale)], [made])
            elif zero and zero not in self.without_offset:
                offset = self._constant(zero, node, "zero point")
                yield from self._without(f"{node.name}.{zero}.float", offset, name, f"{made}.real", made)
            elif zero:
                made = name
            else:
                yield helper.make_node("Cast", [name], [made], to=1)
            operands.append(made)
        self.sums.add(node.output[0])
        product = helper.make_node(node.op_type.removesuffix("Integer"), operands, node.output, node.name)
        product.attribute.extend(node.attribute)
        yield product

    def _recurrent(self, node: NodeProto) -> NodeProto:
        """LSTM for onnxruntime's own, whose matrices [directions, inputs, gates] are turned, with scales behind."""
        self.activations += 1
        made = helper.make_node("LSTM", node.input[:8], node.output, node.name)
        made.attribute.extend(node.attribute)
        for place, scale in ((1, 8), (2, 10)):
            stored = node.input[place]
            integers = self._constant(stored, node, "quantised tensor").astype(np.float64)
            scales, zeros = (
                self._constant(_at(node, number), node, what).astype(np.float64)
                for number, what in ((scale, "scale"), (scale + 1, "zero point"))
            )
            if integers.ndim != 3 or any(one.shape[:1] != integers.shape[:1] for one in (scales, zeros)):
                raise InputError(f"node {node.name!r} (DynamicQuantizeLSTM): a scale is needed for each direction")
            scales, zeros = (one.reshape(len(one), 1, -1) for one in (scales, zeros))
            self.weights.add(stored)
            real = (integers - zeros) * scales
            made.input[place] = self._make(f"{stored}.float", real.transpose(0, 2, 1))
        return made

    def _linear_product(self, node: NodeProto) -> Iterator[NodeProto]:
        """Nodes for QLinearMatMul, QLinearConv or QGemm: a product with everything quantised around it."""
        is_gemm, is_convolution = node.op_type == "QGemm", node.op_type == "QLinearConv"
        left, _, _, right, right_scale, right_zero = node.input[:6]
        scale, zero = (_at(node, 7), _at(node, 8)) if is_gemm else node.input[6:8]
        bias_name = _at(node, 6) if is_gemm else _at(node, 8) if is_convolution else ""
        inputs = [left, right]
        if right in self.constants:
            transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
            axis = 0 if is_convolution or transposed else -1
            inputs[1] = self._make(f"{right}.float", self._real(node, right, right_scale, right_zero, axis))
        if bias_name:
            units = self._constant(node.input[1], node, "scale") * self._constant(right_scale, node, "scale")
            bias = self._constant(bias_name, node, "bias").astype(np.float64) * units.astype(np.float64)
            inputs.append(self._make(f"{bias_name}.float", bias.reshape(-1)))
        operator = "Conv" if is_convolution else "Gemm" if is_gemm else "MatMul"
        yield from self._plain(node, operator, inputs, scale, zero)


def _at(node: NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""
