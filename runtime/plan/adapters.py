"""Adapters of a plan: the tensors that each has, whether they fit, and the plan's outputs once one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.plan.adapter_records import AdapterRecord, LowRankRecord, ReplacementRecord
from tilewright.runtime.plan.names import adapter_key, adapter_word, layer_path
from tilewright.runtime.plan.plan_error import PlanError
from tilewright.runtime.plan.records import LayerRecord, PlanDocument

LOW_RANK = ("A", "B")
REPLACEMENT = ("weight", "bias")


def adapter_shapes(record: AdapterRecord, layers: Mapping[str, LayerRecord]) -> dict[str, list[int]]:
    """Shapes of an adapter's tensors by their keys, beside layers that are there."""
    shapes: dict[str, list[int]] = {}

    def add(one: LowRankRecord | ReplacementRecord, what: str, *shape: int) -> None:
        shapes[adapter_key(one.layer, record.name, one.part, what)] = list(shape)

    for pair in record.low_rank:
        layer = layers[pair.layer]
        first, stop = layer.parts[pair.part].columns
        add(pair, "A", pair.rank, layer.inputs)
        add(pair, "B", stop - first, pair.rank)
    for matrix in record.replacements:
        add(matrix, "weight", matrix.outputs, layers[matrix.layer].inputs)
        if matrix.has_bias:
            add(matrix, "bias", matrix.outputs)
    return shapes


def check_adapters(document: PlanDocument, tensors: Mapping[str, Tensor]) -> None:
    """Raise ``PlanError`` unless each adapter fits the plan's layers, and has the tensors that it says."""
    layers = {layer.name: layer for layer in document.layers}
    if document.adapters and document.weights is None:
        raise PlanError("a plan without weights has no adapters")
    words: dict[str, str] = {}
    for record in document.adapters:
        other = words.setdefault(adapter_word(record.name), record.name)
        if other is not record.name:
            raise PlanError(f"two adapters are named {other!r} and {record.name!r}, which files cannot tell apart")
        _check_layers(document, record, layers)
        shapes = adapter_shapes(record, layers)
        if set(shapes) != set(record.tensors):
            key = min(set(shapes) ^ set(record.tensors))
            raise PlanError(f"adapter {record.name!r} has another tensor than its layers need: {key[:80]!r}")
        sizes = 0
        for key, shape in shapes.items():
            tensor = tensors[key]
            if list(tensor.shape) != shape or tensor.dtype != torch.float32:
                found = f"{tensor.dtype} of shape {list(tensor.shape)}"
                raise PlanError(f"tensor {key!r} is {found}, not float32 of {shape}")
            sizes += tensor.numel()
        if sizes != record.parameters:
            raise PlanError(f"adapter {record.name!r} says {record.parameters} parameters, its tensors have {sizes}")


def _check_layers(document: PlanDocument, record: AdapterRecord, layers: Mapping[str, LayerRecord]) -> None:
    seen = set()
    for one in record.pieces:
        where = f"adapter {record.name!r}: part {one.part} of layer {one.layer[:80]!r}"
        if one.layer not in layers or one.part >= len(layers[one.layer].parts):
            raise PlanError(f"{where} is not in the plan")
        if (one.layer, one.part) in seen:
            raise PlanError(f"{where} has two adapters in one")
        seen.add((one.layer, one.part))
        layer = layers[one.layer]
        if layer.parts[one.part].stored is None:
            raise PlanError(f"{where} is not the model's own matrix, so no adapter fits it")
        is_other = isinstance(one, ReplacementRecord) and one.outputs != columns_of(layer, one.part)
        if is_other and not outputs_of_layer(document, layer):
            raise PlanError(f"{where} has another number of outputs, which other parts of the network do not take")


def columns_of(layer: LayerRecord, part: int) -> int:
    """Number of the columns of one part of a layer."""
    first, stop = layer.parts[part].columns
    return stop - first


def outputs_of_layer(document: PlanDocument, layer: LayerRecord) -> list[int]:
    """Places of the model's outputs that a layer of one part gives as they are, if nothing else reads what it gives."""
    calls = {node.name for node in document.graph if node.op == "call_module" and node.target == layer_path(layer.name)}
    *others, output = document.graph
    read = {name for node in others for name in _nodes_in([node.args, node.kwargs])}
    given = list(_nodes_in(output.args))
    if len(layer.parts) != 1 or calls & read or not calls <= set(given) or len(given) != len(document.outputs):
        return []
    return [place for place, name in enumerate(given) if name in calls]


def _nodes_in(arguments: Any) -> list[str]:
    """Names of the nodes in the arguments of one, in order."""
    found, waiting = [], [arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            name = value.get("node")
            if isinstance(name, str):
                found.append(name)
            else:
                waiting += reversed(list(value.values()))
    return found


def is_replaced(record: AdapterRecord | None, layer: LayerRecord) -> bool:
    """True if an adapter is in place of every column of a layer, which is not read then."""
    replaced = [] if record is None else [one for one in record.replacements if one.layer == layer.name]
    return len(replaced) == len(layer.parts)


def macs_with(record: AdapterRecord | None, layer: LayerRecord) -> int:
    """Multiplications with an addition of an adapter for one input vector of a layer."""
    if record is None:
        return 0
    pairs = [one for one in record.low_rank if one.layer == layer.name]
    matrices = [one for one in record.replacements if one.layer == layer.name]
    beside = sum(one.rank * (layer.inputs + columns_of(layer, one.part)) for one in pairs)
    return beside + sum(layer.inputs * one.outputs for one in matrices)


def outputs_with(record: AdapterRecord, layer: LayerRecord) -> int:
    """Number of a layer's outputs with an adapter: another where a layer of one part is replaced by such a matrix."""
    for matrix in record.replacements:
        if matrix.layer == layer.name and len(layer.parts) == 1:
            return matrix.outputs
    return layer.outputs


def document_with(document: PlanDocument, record: AdapterRecord) -> PlanDocument:
    """The document as a run with this adapter has it: outputs may have other sizes, and classes no names then."""
    outputs = list(document.outputs)
    changed = False
    layers = {layer.name: layer for layer in document.layers}
    for matrix in record.replacements:
        layer = layers[matrix.layer]
        if matrix.outputs == columns_of(layer, matrix.part):
            continue
        changed = True
        for place in outputs_of_layer(document, layer):
            shape = [*outputs[place].shape[:-1], matrix.outputs]
            outputs[place] = outputs[place].model_copy(update={"shape": shape})
    if not changed:
        return document
    return document.model_copy(
        update={"outputs": outputs, "model": document.model.model_copy(update={"classes": None})}
    )
