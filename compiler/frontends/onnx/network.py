"""An ONNX graph as a torch module: every node computed with torch, so that torch.export can trace it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto
from torch import Tensor, nn

from tilewright.compiler.frontends.onnx.call import Call, Node
from tilewright.compiler.frontends.onnx.constants import constants_of, first_line, read_tensor
from tilewright.compiler.frontends.onnx.naming import module_path, plain_word, unique, weight_names
from tilewright.compiler.frontends.onnx.operators import ON_NUMBERS, OPERATORS
from tilewright.compiler.frontends.onnx.operators.numbers import UnknownNumberError
from tilewright.compiler.frontends.onnx.values import LARGEST_KEPT, Numbers, Value, as_tensor, type_of
from tilewright.targets.errors import InputError, nearest

PLAIN_DOMAINS = ("", "ai.onnx")
CONTROL = ("Constant", "If")
"""What a block does itself."""
STEPS = "-steps"
"""Where a block's nodes are; no word, so that names made of the path leave it out."""


class Step(nn.Module):
    """One node. It is a module so that tracing notes where in the source model it belongs."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def forward(self, values: tuple[Value | None, ...], known: tuple[Numbers | None, ...]) -> tuple[Value | None, ...]:
        """The node's outputs. Raises ``InputError`` that names the node for whatever goes wrong in it."""
        call = Call(self.node, values, known)
        try:
            result = self._on_numbers(call)
            if result is None:
                result = OPERATORS[self.node.operator].compute(call)
        except InputError:
            raise
        except Exception as error:  # a foreign graph can be wrong in any way that torch can complain of
            shapes = ", ".join(str(list(value.shape)) for value in values if value is not None)
            raise InputError(f"{self.node} with inputs of shape {shapes}: {first_line(error)}") from error
        return result if isinstance(result, tuple) else (result,)

    def _on_numbers(self, call: Call) -> Value | tuple[Value | None, ...] | None:
        """The result where all inputs are known, one of them as numbers alone; None if this is for tensors."""
        compute = ON_NUMBERS.get(self.node.operator)
        known = [number for number, value in zip(call.known, call.values, strict=True) if value is not None]
        inputs = [number for number in known if number is not None]
        if compute is None or len(inputs) != len(known) or not inputs:
            return None
        if not any(isinstance(value, np.ndarray) for value in call.values):
            return None
        try:
            return compute(call, inputs)
        except UnknownNumberError:
            return None


class Block(nn.Module):
    """The nodes of one graph in order, with the constants they read. Branches of an If are blocks inside."""

    def __init__(self, graph: GraphProto, opset: int, folder: str) -> None:
        super().__init__()
        self.known: dict[str, Numbers] = {}
        """Constants as numbers, where they are small."""
        self.paths: dict[str, str] = {}
        """Constants as tensors: where they are in this module."""
        constants = constants_of(graph)
        names = weight_names(graph, constants)
        stored = {tensor.name for tensor in graph.initializer}
        for name, tensor in constants.items():
            self._add_constant(name, names[name], tensor, folder, name in stored)
        self.order: list[tuple[NodeProto, str]] = []
        for place, node in enumerate(graph.node):
            if node.op_type != "Constant":
                path = ".".join(filter(None, (STEPS, module_path(node), f"-{place}")))
                add_module(self, path, self._module(node, opset, folder))
                self.order.append((node, path))

    @staticmethod
    def _module(node: NodeProto, opset: int, folder: str) -> nn.Module:
        if node.op_type != "If":
            return Step(describe(node, opset))
        return nn.ModuleDict({entry.name: Block(entry.g, opset, folder) for entry in node.attribute})

    def _add_constant(self, name: str, path: str, tensor: TensorProto, folder: str, is_stored: bool) -> None:
        array = read_tensor(tensor, folder, name)
        wanted = type_of(tensor.data_type, f"constant {name!r}")
        if array.size <= LARGEST_KEPT:
            self.known[name] = array
            if not wanted.is_floating_point:
                return  # numbers that shapes are computed with; a tensor only where one is asked for
        # a copy where the file's own memory cannot be written, which torch warns of
        data = torch.from_numpy(array if array.flags.writeable else array.copy()).to(wanted)
        is_parameter = wanted.is_floating_point and (is_stored or data.numel() > 1)
        add_tensor(self, path, data, is_parameter)
        self.paths[name] = path

    def run(self, values: dict[str, Value], known: dict[str, Numbers]) -> None:
        """Compute all nodes; what they give is added to ``values``, and to ``known`` where it is numbers."""
        known |= self.known
        values |= {name: number for name, number in self.known.items() if name not in self.paths}
        values |= {name: tensor_at(self, path) for name, path in self.paths.items()}
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
                results = _branch(module, node, values, known)
            for name, result in zip(node.output, results, strict=False):
                if name and result is not None:
                    values[name] = result
                    if isinstance(result, np.ndarray):
                        known[name] = result


def _branch(
    branches: nn.ModuleDict, node: NodeProto, values: dict[str, Value], known: dict[str, Numbers]
) -> tuple[Value, ...]:
    """The outputs of one branch of an If, whose condition must be known while tracing."""
    condition = known.get(node.input[0])
    if condition is None:
        raise InputError(
            f"node {node.name!r} (If) depends on the data, which a fixed plan cannot; export the model without branches"
        )
    wanted = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
    block = branches[wanted]
    assert isinstance(block, Block)
    inner = dict(values)
    block.run(inner, dict(known))
    outputs = next(entry.g.output for entry in node.attribute if entry.name == wanted)
    return tuple(inner[output.name] for output in outputs)


class OnnxNetwork(Block):
    """The graph of a model. Inputs are tensors by plain names; outputs come by the model's own."""

    def __init__(self, model: ModelProto, folder: str) -> None:
        """folder: where external data lies. Raises ``InputError`` for what is not supported, by node."""
        opset = next(entry.version for entry in model.opset_import if entry.domain in PLAIN_DOMAINS)
        check_operators(model.graph)
        super().__init__(model.graph, opset, folder)
        constants = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in constants]
        self.input_names = dict(zip(unique(map(plain_word, names)), names, strict=True))
        """Plain names -> the model's own."""
        self.output_names = [value.name for value in model.graph.output]

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by their names."""
        values: dict[str, Value] = {self.input_names[name]: tensor for name, tensor in inputs.items()}
        self.run(values, {})
        missing = [name for name in self.output_names if name not in values]
        if missing:
            raise InputError(f"the graph's output {missing[0]!r} is computed by no node")
        return {name: as_tensor(values[name]) for name in self.output_names}


def add_module(root: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module at a dotted path, making those on the way."""
    *parents, last = path.split(".")
    for part in parents:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root._modules[part]  # type: ignore[assignment]
    root.add_module(last, module)


def add_tensor(root: nn.Module, path: str, tensor: Tensor, is_parameter: bool) -> None:
    """Put a tensor at a dotted path, as a parameter or as a buffer."""
    *parents, last = path.split(".")
    for part in parents:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root._modules[part]  # type: ignore[assignment]
    if is_parameter:
        root.register_parameter(last, nn.Parameter(tensor, requires_grad=False))
    else:
        root.register_buffer(last, tensor)


def tensor_at(root: nn.Module, path: str) -> Tensor:
    """The tensor at a dotted path."""
    value: Any = root
    for part in path.split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value


def describe(node: NodeProto, opset: int) -> Node:
    """What stays the same of a node in every run."""
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
    """The error for an operator that there is not, with the nearest that there is."""
    name = f"{node.domain}.{node.op_type}" if node.domain not in PLAIN_DOMAINS else node.op_type
    return InputError(
        f"operator {name} (node {node.name!r}) is not supported; {nearest(node.op_type, list(OPERATORS))}"
    )
