"""Where every parameter of the model went: onto tiles, into a look-up table, or to digital units and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import fx

from tilewright.compiler.network.compilation import Compilation
from tilewright.runtime.plan.records import WeightRecord
from tilewright.targets.spec import AnalogTarget, DigitalTarget

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
}  # fmt: skip
"""Operators that change the form of a tensor alone: what happens to the tensor happens behind them."""
TABLE_TOO = "; the same numbers are a look-up table in digital memory too"
ADDING = {aten.add.Tensor, aten.sub.Tensor, aten.rsub.Scalar}
SCALING = {aten.mul.Tensor, aten.div.Tensor}


def account_for_weights(compilation: Compilation) -> None:
    """Fill ``compilation.weights`` with one record a parameter. Raises ``ValueError`` if they do not add up."""
    on_tiles, beside_tiles = _of_layers(compilation)
    readers = _readers(compilation)
    for name, tensor in compilation.traced.parameters.items():
        layers, read_by = on_tiles.get(name, []), readers.get(name, [])
        is_table = any(node.target in LOOKUPS for node in read_by)
        place: Literal["analog", "digital", "look-up"] = "digital"
        reason = ""
        if layers:
            place, reason = place_on([compilation.target_of(compilation.layers[layer]) for layer in layers])
            if is_table:
                reason += TABLE_TOO
        elif name in compilation.digital_reasons:
            reason = compilation.digital_reasons[name]
        elif name in beside_tiles:
            reason = beside_tiles[name]
        elif is_table:
            place, reason = "look-up", "rows are read by number: nothing is multiplied"
        else:
            reason = _why_digital(read_by)
        compilation.weights.append(
            WeightRecord(name=name, shape=list(tensor.shape), place=place, reason=reason, layers=layers)
        )
    by_name = {weight.name: weight for weight in compilation.weights}
    for name, original in compilation.traced.copies.items():
        copy = {"name": name, "reason": f"stored again: the same numbers as {original}, on the same devices if on any"}
        compilation.weights.append(by_name[original].model_copy(update=copy))
    total = sum(weight.parameters for weight in compilation.weights)
    if total != compilation.traced.model.parameters:
        raise ValueError(f"{total} parameters were accounted for, the model has {compilation.traced.model.parameters}")


def place_on(targets: list[AnalogTarget | DigitalTarget]) -> tuple[Literal["analog", "digital"], str]:
    """On tiles, or on digital units if all of its layers' targets are such; and why."""
    reason = "a constant matrix that multiplies activations"
    if all(isinstance(target, DigitalTarget) for target in targets):
        return "digital", f"{reason}, on {targets[0].name}"
    return "analog", reason


def _of_layers(compilation: Compilation) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Parameter -> the layers whose matrix it is; parameter -> what it is of a layer beside the matrix."""
    on_tiles: dict[str, list[str]] = {}
    beside: dict[str, str] = {}
    for name, origins in compilation.layer_origins.items():
        matrices = {part.weight for part in compilation.layers[name].parts}
        for parameter in origins.weight:
            if parameter in matrices:
                on_tiles.setdefault(parameter, []).append(name)
            else:
                beside[parameter] = "its factor is in the digital scale of a layer's columns"
        for parameter in origins.bias:
            beside.setdefault(parameter, "part of a layer's bias, which is added in digital behind the ADC")
    return on_tiles, beside


def _readers(compilation: Compilation) -> dict[str, list[fx.Node]]:
    """Parameter -> the operators that compute with it, seen through changes of form."""
    readers: dict[str, list[fx.Node]] = {}
    for node in compilation.graph.graph.nodes:
        if node.op == "get_attr":
            for name in compilation.origins.get(str(node.target), ()):
                readers.setdefault(name, []).extend(_consumers(node))
    return readers


def _consumers(node: fx.Node) -> Iterator[fx.Node]:
    for user in node.users:
        if user.target in PASSING:
            yield from _consumers(user)
        else:
            yield user


def _why_digital(readers: list[fx.Node]) -> str:
    if not readers:
        return "no output of the graph depends on it"
    functions = {node.target for node in readers}
    if functions <= NORMS:
        return "scale or offset of a normalisation, which needs statistics of each input"
    if functions <= ADDING:
        return "added to activations: nothing is summed over"
    if functions <= SCALING:
        return "multiplies activations value by value: nothing is summed over"
    if all(node.op == "call_module" for node in readers):
        return "made into a table that attention multiplies with, sample by sample, on its digital unit"
    names = sorted(str(getattr(function, "__name__", function)).split(".")[0] for function in functions)
    return f"operand of {', '.join(names)}, which is not a product with a constant matrix"
