"""Roles of the model's parameters in the lowered graph: matrix of a layer, look-up table, or something digital."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import fx

from tilewright.compiler.network.network import Network
from tilewright.runtime.plan.names import LOOP_PREFIX
from tilewright.runtime.plan.records import Role, WeightRecord

aten = torch.ops.aten
LOOKUPS = {aten.embedding.default, aten.index.Tensor, aten.index_select.default, aten.gather.default}
NORMS = {
    aten.layer_norm.default, aten.native_layer_norm.default, aten.rms_norm.default, aten.group_norm.default,
    aten.instance_norm.default, aten.batch_norm.default,
}  # fmt: skip
PASSING = {
    aten.reshape.default, aten.expand.default, aten.unsqueeze.default, aten.squeeze.dim, aten.transpose.int,
    aten.permute.default, aten.t.default, aten.slice.Tensor, aten.select.int, aten.to.dtype, aten.repeat.default,
    aten.cat.default, aten.expand_as.default, aten.flatten.using_ints, aten.to.device, aten.type_as.default,
    aten.unflatten.int,
}  # fmt: skip
"""Operators that change the form of a tensor alone: others that read it are found behind them."""
ADDING = {aten.add.Tensor, aten.sub.Tensor, aten.rsub.Scalar}
SCALING = {aten.mul.Tensor, aten.div.Tensor}


def parameters_of(network: Network) -> list[WeightRecord]:
    """Every parameter once, as if nothing were on tiles, then those that are stored again under another name."""
    matrices, beside = _of_layers(network)
    readers = _readers(network)
    found = {}
    for name, tensor in network.parameters.items():
        read_by, layers = readers.get(name, []), matrices.get(name, [])
        is_table = any(node.target in LOOKUPS for node in read_by)
        role: Role
        if layers:
            role, reason = "matrix", "a constant matrix that multiplies activations"
        elif is_table and name not in network.digital and name not in beside:
            role, reason = "look-up", "rows are read by number: nothing is multiplied"
        else:
            role, reason = network.digital.get(name) or beside.get(name) or _digital_role(read_by)
        found[name] = WeightRecord(
            name=name,
            shape=list(tensor.shape),
            place="look-up" if role == "look-up" else "digital",
            role=role,
            is_table_too=bool(layers) and is_table,
            copy_of=None,
            reason=reason,
            layers=layers,
        )
    same = "stored again: the same numbers as {}, on the same devices if on any"
    copies = [
        found[original].model_copy(update={"name": name, "copy_of": original, "reason": same.format(original)})
        for name, original in network.traced.copies.items()
    ]
    return [*found.values(), *copies]


def _of_layers(network: Network) -> tuple[dict[str, list[str]], dict[str, tuple[Role, str]]]:
    """Layers by the parameter in their matrix; role and reason of each other parameter in a layer."""
    matrices: dict[str, list[str]] = {}
    beside: dict[str, tuple[Role, str]] = {}
    for name, layer in network.layers.items():
        held = {part.weight for part in layer.parts}
        for parameter in layer.origins.weight:
            if parameter in held:
                matrices.setdefault(parameter, []).append(name)
            else:
                beside[parameter] = "column scale", "its factor is in the digital scale of a layer's columns"
        for parameter in layer.origins.bias:
            beside.setdefault(parameter, ("bias", "part of a layer's bias, which is added in digital behind the ADC"))
    return matrices, beside


def _readers(network: Network) -> dict[str, list[fx.Node]]:
    """Operators that compute with each parameter, seen through changes of form."""
    readers: dict[str, list[fx.Node]] = {}
    for node in network.graph.graph.nodes:
        for name in network.origins_of(node):
            readers.setdefault(name, []).extend(_consumers(node))
    return readers


def _consumers(node: fx.Node) -> Iterator[fx.Node]:
    for user in node.users:
        if user.target in PASSING:
            yield from _consumers(user)
        else:
            yield user


def _digital_role(readers: list[fx.Node]) -> tuple[Role, str]:
    if not readers:
        return "unused", "no output of the graph depends on it"
    functions = {node.target for node in readers}
    if functions <= NORMS:
        return "normalisation", "scale or offset of a normalisation, which needs statistics of each input"
    if functions <= ADDING:
        return "addend", "added to activations: nothing is summed over"
    if functions <= SCALING:
        return "factor", "multiplies activations value by value: nothing is summed over"
    if any(str(node.target).startswith(LOOP_PREFIX) for node in readers):
        return "operand", "read at each step of a loop, where nothing is multiplied by it as a matrix"
    if all(node.op == "call_module" for node in readers):
        return (
            "attention table",
            "made into a table that attention multiplies with, sample by sample, on its digital unit",
        )
    names = sorted(str(getattr(function, "__name__", function)).split(".")[0] for function in functions)
    return "operand", f"operand of {', '.join(names)}, which is not a product with a constant matrix"
