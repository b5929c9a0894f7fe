"""An ONNX graph as a torch module: every node computed with torch, so that torch.export can trace it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import onnx
import torch
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto
from torch import Tensor, nn

from tilewright.compiler.frontends.finite_weights import check_tensor
from tilewright.compiler.frontends.foreign_errors import first_line
from tilewright.compiler.frontends.input_names import plain_word, unique
from tilewright.compiler.frontends.onnx.call import Call, Node
from tilewright.compiler.frontends.onnx.constants import constants_of, read_names, read_tensor, weights_of
from tilewright.compiler.frontends.onnx.control_flow import WRITTEN_OUT
from tilewright.compiler.frontends.onnx.naming import module_path, weight_names
from tilewright.compiler.frontends.onnx.operators import ON_NUMBERS, OPERATORS
from tilewright.compiler.frontends.onnx.operators.numbers import UnknownNumberError
from tilewright.compiler.frontends.onnx.values import LARGEST_KEPT, Numbers, Value, as_tensor, type_of
from tilewright.compiler.network.unsupported import first_sentence, unsupported_operator
from tilewright.runtime.plan.graph import place_at
from tilewright.targets.errors import InputError

PLAIN_DOMAINS = ("", "ai.onnx")
CONTROL = ("Constant", *WRITTEN_OUT)
"""Operators that a block computes itself."""
LEAST_SHARED = 1024
"""Elements from which a matrix is compared with others, to find those that are stored twice."""
STEPS, STORED = "-steps", "-stored"
"""Words in the paths of a block's nodes and constants; their hyphen keeps them out of names made of the paths."""


class Step(nn.Module):
    """One node as a module, so that tracing notes its place in the source model."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def forward(
        self, values: tuple[Value | None, ...], known: tuple[Numbers | None, ...]
    ) -> list[tuple[Value | None, Numbers | None]]:
        """Outputs of the node, each with its numbers where they are known while tracing.

        Raises ``InputError`` that names the node for whatever goes wrong in it.
        """
        call = Call(self.node, values, known)
        try:
            numbers = self._numbers(call)
            if numbers is not None and any(isinstance(value, np.ndarray) for value in values):
                return [(number, number) for number in numbers]
            result = OPERATORS[self.node.operator].compute(call)
        except InputError:
            raise
        except Exception as error:  # a foreign graph can be wrong in any way that torch can complain of
            shapes = ", ".join(str(list(value.shape)) for value in values if value is not None)
            raise InputError(f"{self.node} with inputs of shape {shapes}: {first_line(error)}") from error
        results = result if isinstance(result, tuple) else (result,)
        if numbers is None:
            numbers = tuple(value if isinstance(value, np.ndarray) else None for value in results)
        return list(zip(results, numbers, strict=False))

    def _numbers(self, call: Call) -> tuple[Numbers | None, ...] | None:
        """The results as numbers; None if not all inputs are known, or results are too many."""
        compute = ON_NUMBERS.get(self.node.operator)
        known = [number for number, value in zip(call.known, call.values, strict=True) if value is not None]
        inputs = [number for number in known if number is not None]
        if compute is None or len(inputs) != len(known) or not inputs:
            return None
        try:
            result = compute(call, inputs)
        except UnknownNumberError:
            return None
        return result if isinstance(result, tuple) else (result,)


class Block(nn.Module):
    """The nodes of one graph in order, with the constants they read; graphs of an If or a Loop are blocks inside."""

    def __init__(self, graph: GraphProto, opset: int, folder: str) -> None:
        super().__init__()
        self.known: dict[str, Numbers] = {}
        """Constants as numbers, where they are small."""
        self.tensors: dict[str, tuple[nn.Module, str]] = {}
        """Constants as tensors: the module that holds each, and its name there."""
        self.copies: dict[str, str] = {}
        """Names of matrices that are stored again, by the paths of their copies: exporters write one for each use."""
        self._first_of: dict[bytes, str] = {}
        read = read_names(graph)
        constants = {name: tensor for name, tensor in constants_of(graph).items() if name in read}
        names = weight_names(graph, constants)
        stored = {tensor.name for tensor in graph.initializer}
        for name, tensor in constants.items():
            self._add_constant(name, names[name], tensor, folder, name in stored)
        self.order: list[tuple[NodeProto, str]] = []
        for place, node in enumerate(graph.node):
            if node.op_type != "Constant":
                path = ".".join(filter(None, (STEPS, module_path(node), f"-{place}")))
                place_of_step, last = place_at(self, path)
                place_of_step.add_module(last, self._module(node, opset, folder))
                self.order.append((node, path))

    @staticmethod
    def _module(node: NodeProto, opset: int, folder: str) -> nn.Module:
        if node.op_type not in WRITTEN_OUT:
            return Step(describe(node, opset))
        graphs = {entry.name: entry.g for entry in node.attribute if entry.type == AttributeProto.GRAPH}
        return nn.ModuleDict({name: Block(graph, opset, folder) for name, graph in graphs.items()})

    def _add_constant(self, name: str, path: str, tensor: TensorProto, folder: str, is_stored: bool) -> None:
        array = read_tensor(tensor, folder, name)
        wanted = type_of(tensor.data_type, f"constant {name!r}")
        if array.size <= LARGEST_KEPT:
            self.known[name] = array
            if not wanted.is_floating_point:
                return  # numbers that shapes are computed with; a tensor only where one is asked for
        content = _content(array) if wanted.is_floating_point else None
        if content in self._first_of:
            self.tensors[name] = self.tensors[self._first_of[content]]
            self.copies[path] = self._first_of[content]
            return
        # a copy where the file's own memory cannot be written, which torch warns of
        data = torch.from_numpy(array if array.flags.writeable else array.copy()).to(wanted)
        module, last = place_at(self, f"{STORED}.{path}")
        if wanted.is_floating_point and (is_stored or data.numel() > 1):
            module.register_parameter(last, nn.Parameter(data, requires_grad=False))
        else:
            module.register_buffer(last, data)
        self.tensors[name] = (module, last)
        if content is not None:
            self._first_of[content] = name

    def run(self, values: dict[str, Value], known: dict[str, Numbers]) -> None:
        """Compute all nodes; results are added to ``values``, and to ``known`` where they are numbers."""
        known |= self.known
        values |= {name: number for name, number in self.known.items() if name not in self.tensors}
        values |= {name: getattr(module, last) for name, (module, last) in self.tensors.items()}
        for node, path in self.order:
            missing = [name for name in node.input if name and name not in values]
            if missing:
                raise InputError(f"node {node.name!r} ({node.op_type}) reads {missing[0]!r}, which nothing computes")
            module = self.get_submodule(path)
            if isinstance(module, Step):
                results = module(
                    tuple(values[name] if name else None for name in node.input),
                    tuple(known.get(name) if name else None for name in node.input),
                )
            else:
                assert isinstance(module, nn.ModuleDict)
                results = WRITTEN_OUT[node.op_type](module, node, values, known)
            for name, (value, numbers) in zip(node.output, results, strict=False):
                if name and value is not None:
                    values[name] = value
                    if numbers is not None:
                        known[name] = numbers


def _content(array: Numbers) -> bytes | None:
    """Bytes that tell equal matrices; None for a matrix that is too small to matter."""
    if array.ndim < 2 or array.size < LEAST_SHARED:
        return None
    return sha256(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()).digest()


def _is_mask(tensor: Tensor) -> bool:
    """True if a tensor holds zeros, ones and infinities alone."""
    return bool(((tensor == 0) | (tensor == 1) | tensor.isinf()).all())


class OnnxNetwork(Block):
    """Torch module of an ONNX graph. Inputs are tensors by plain names; outputs come by the model's own."""

    def __init__(self, model: ModelProto, folder: str) -> None:
        """Make the module; folder: of external data. Raises ``InputError`` that names a node not supported."""
        opset = next(entry.version for entry in model.opset_import if entry.domain in PLAIN_DOMAINS)
        check_operators(model.graph)
        super().__init__(model.graph, opset, folder)
        constants = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in constants]
        self.input_names = dict(zip(unique(map(plain_word, names)), names, strict=True))
        """The model's own names of inputs, by plain names."""
        self.output_names = [value.name for value in model.graph.output]
        self._weights = weights_of(model.graph)

    def stored_parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters by their plain names, each once: without copies that are stored again."""
        found = list(self.named_parameters())
        names = (".".join(word for word in path.split(".") if word[0] != "-") for path, _ in found)
        return dict(zip(unique(names), (parameter for _, parameter in found), strict=True))

    def check_finite(self) -> None:
        """Raise ``InputError`` for the first weight that is not finite. Masks may be infinite, but not NaN."""
        names = {id(parameter): name for name, parameter in self.stored_parameters().items()}
        for own, (module, last) in self.tensors.items():
            tensor = getattr(module, last)
            if id(tensor) in names:
                is_weight = own in self._weights and not _is_mask(tensor)
                check_tensor(names[id(tensor)], tensor, infinity_allowed=not is_weight)

    def stored_again(self) -> dict[str, str]:
        """Names of the parameters that are read in place of copies, by the copies' names."""
        names = {id(parameter): name for name, parameter in self.stored_parameters().items()}
        originals = {path: getattr(*self.tensors[name]) for path, name in self.copies.items()}
        return {path: names[id(parameter)] for path, parameter in originals.items()}

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by their names. inputs: by plain names."""
        values: dict[str, Value] = {self.input_names[name]: tensor for name, tensor in inputs.items()}
        self.run(values, {})
        missing = [name for name in self.output_names if name not in values]
        if missing:
            raise InputError(f"the graph's output {missing[0]!r} is computed by no node")
        return {name: as_tensor(values[name]) for name in self.output_names}


def describe(node: NodeProto, opset: int) -> Node:
    """Parts of a node that stay the same in every run."""
    attributes = {attribute.name: _attribute(attribute, node) for attribute in node.attribute}
    return Node(node.name, node.op_type, tuple(node.input), tuple(node.output), attributes, opset)


def _attribute(attribute: AttributeProto, node: NodeProto) -> Any:
    if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        return None
    if attribute.type == AttributeProto.TENSOR:
        return read_tensor(attribute.t, "", f"{node.name}.{attribute.name}")
    try:
        value = onnx.helper.get_attribute_value(attribute)
    except ValueError as error:
        raise InputError(f"node {node.name!r}: attribute {attribute.name!r} cannot be read: {error}") from error
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def check_operators(graph: GraphProto) -> None:
    """Raise ``InputError`` for the first operator that is not supported, with the nearest that is."""
    for node in graph.node:
        if node.op_type in CONTROL and node.domain in PLAIN_DOMAINS:
            for attribute in node.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    check_operators(attribute.g)
        elif node.domain not in PLAIN_DOMAINS or node.op_type not in OPERATORS:
            raise unsupported(node)


def unsupported(node: NodeProto) -> InputError:
    """The error for an operator that is not supported."""
    is_plain = node.domain in PLAIN_DOMAINS
    name = node.op_type if is_plain else f"{node.domain}.{node.op_type}"
    known = onnx.defs.has(node.op_type, node.domain)
    description = first_sentence(onnx.defs.get_schema(node.op_type, domain=node.domain).doc) if known else ""
    way_out = "export the model without it, such as with another opset, or cut it off at that node's inputs"
    return unsupported_operator(name, description, f"node {node.name!r}", OPERATORS if is_plain else (), way_out)
