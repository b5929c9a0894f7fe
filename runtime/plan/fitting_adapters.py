"""Fitting an adapter to a plan: which of its matrices is beside which layer, and the decision that it is digital."""

from __future__ import annotations

import hashlib
import json
import re

from torch import Tensor

from tilewright.runtime.plan.adapter_folder import Pair, PeftAdapter, numbers_of
from tilewright.runtime.plan.adapter_records import ADAPTER_NAME, AdapterRecord, LowRankRecord, ReplacementRecord
from tilewright.runtime.plan.adapters import columns_of, outputs_of_layer
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.file_records import FileRecord
from tilewright.runtime.plan.module_names import matched_names
from tilewright.runtime.plan.names import adapter_key, output_factor_key
from tilewright.runtime.plan.records import LayerRecord, PlanDocument
from tilewright.runtime.plan.stored_tensors import stored_once
from tilewright.runtime.storage.weights_file import tensor_bytes
from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

MADE_BY = "add_adapter"
Tensors = dict[str, Tensor]
Place = tuple[LayerRecord, int]
"""A layer and the number of one of its parts."""


def fit_adapter(
    document: PlanDocument, base: dict[str, Tensor], name: str, read: PeftAdapter
) -> tuple[AdapterRecord, Tensors]:
    """The record of an adapter beside the plan's layers, and its tensors by their keys. base: tensors of the plan.

    Raises ``InputError`` for what belongs to no layer or does not fit its layer.
    """
    if not isinstance(name, str) or re.fullmatch(ADAPTER_NAME, name) is None or len(name) > 64:
        raise InputError(f"adapter name {shown(name)} is not letters, digits, _ and -, at most 64; name it yourself")
    places = _places(document)
    names = matched_names([*read.pairs, *read.replacements], places, f"adapter {name!r}")
    shapes = {record.name: record.shape for record in document.weights_of_model}
    tensors: Tensors = {}
    low_rank = []
    for module, pair in read.pairs.items():
        place = _place(places, names[module], name)
        low_rank.append(_beside(place, name, module, pair, shapes, tensors))
    replacements = []
    for module, found in read.replacements.items():
        place = _place(places, names[module], name)
        replacements.append(_instead(document, base, place, name, module, found, shapes, tensors))
    order = {layer.name: number for number, layer in enumerate(document.layers)}
    low_rank.sort(key=lambda one: (order[one.layer], one.part))
    replacements.sort(key=lambda one: (order[one.layer], one.part))
    _, records = stored_once(tensors)
    record = AdapterRecord(
        name=name,
        source=read.source,
        sha256=_sha256(low_rank, replacements, tensors),
        base=read.base,
        low_rank=low_rank,
        replacements=replacements,
        decisions=list(_decisions(document, name, low_rank, replacements)),
        tensors=records,
        weights=FileRecord(file=f"{name}.safetensors", sha256="0" * 64, bytes=0),
    )
    return record, tensors


def _places(document: PlanDocument) -> dict[str, list[Place]]:
    """Parts of layers by the model's names of their modules."""
    places: dict[str, list[Place]] = {}
    for layer in document.layers:
        for number, part in enumerate(layer.parts):
            places.setdefault(part.weight.removesuffix(".weight"), []).append((layer, number))
    return places


def _place(places: dict[str, list[Place]], module: str, adapter: str) -> Place:
    (layer, number), *others = places[module]
    if others or layer.parts[number].stored is None:
        raise InputError(
            f"adapter {adapter!r}: the plan lacks the model's own matrix of {module!r} (a normalisation or factor was "
            "folded into it, or an older tilewright compiled it); compile the model again, or leave the module out"
        )
    return layer, number


def _beside(
    place: Place, adapter: str, module: str, pair: Pair, shapes: dict[str, list[int]], tensors: Tensors
) -> LowRankRecord:
    layer, number = place
    columns, of_model = columns_of(layer, number), shapes.get(layer.parts[number].weight, [])
    rank, kernel = pair.a.shape[0], of_model[1:] if len(of_model) > 2 else [layer.inputs]
    if list(pair.a.shape) != [rank, *kernel] or pair.b.shape[0] != columns:
        raise InputError(
            f"adapter {adapter!r}: lora_A and lora_B of {shown(module)} have shapes {list(pair.a.shape)} and "
            f"{list(pair.b.shape)}; its layer takes [rank, {', '.join(map(str, kernel))}] and [{columns}, rank]"
        )
    a, b = (numbers_of(half, f"lora_{name} of {shown(module)}") for name, half in (("A", pair.a), ("B", pair.b)))
    tensors[adapter_key(layer.name, adapter, number, "A")] = a.reshape(rank, layer.inputs)
    tensors[adapter_key(layer.name, adapter, number, "B")] = b.reshape(columns, rank)
    return LowRankRecord(
        layer=layer.name, part=number, module=module, rank=rank, alpha=pair.alpha, scale=pair.scale,
        parameters=rank * (layer.inputs + columns),
    )  # fmt: skip


def _instead(
    document: PlanDocument,
    base: dict[str, Tensor],
    place: Place,
    adapter: str,
    module: str,
    found: Tensors,
    shapes: dict[str, list[int]],
    tensors: Tensors,
) -> ReplacementRecord:
    layer, number = place
    part, columns, weight = layer.parts[number], columns_of(layer, number), found["weight"]
    of_model = shapes.get(part.weight, [columns, layer.inputs])
    where = f"adapter {adapter!r}: the matrix of {shown(module)} has shape {list(weight.shape)}"
    if weight.dim() != len(of_model):
        raise InputError(f"{where}, the model's has {of_model}")
    matrix = weight.t() if part.stored == "inputs first" else weight.reshape(weight.shape[0], -1)
    outputs = matrix.shape[0]
    if matrix.shape[1] != layer.inputs or (weight.dim() > 2 and list(weight.shape[1:]) != of_model[1:]):
        raise InputError(f"{where}, the model's has {of_model}")
    if outputs != columns:
        scaled = layer.has_factors and not bool((base[output_factor_key(layer.name)] == 1).all())
        if scaled or not outputs_of_layer(document, layer):
            raise InputError(
                f"{where}, the model's has {of_model}: only a layer that gives an output of the model, which nothing "
                "else reads, may have another number of outputs"
            )
    bias = found.get("bias")
    if bias is not None and list(bias.shape) != [outputs]:
        shape = list(bias.shape)
        raise InputError(f"adapter {adapter!r}: the bias of {shown(module)} has shape {shape}, not [{outputs}]")
    tensors[adapter_key(layer.name, adapter, number, "weight")] = numbers_of(
        matrix.contiguous(), f"matrix of {shown(module)}"
    )
    if bias is not None:
        tensors[adapter_key(layer.name, adapter, number, "bias")] = numbers_of(bias, f"bias of {shown(module)}")
    return ReplacementRecord(
        layer=layer.name, part=number, module=module, outputs=outputs, has_bias=bias is not None,
        parameters=outputs * (layer.inputs + (bias is not None)),
    )  # fmt: skip


def _sha256(low_rank: list[LowRankRecord], replacements: list[ReplacementRecord], tensors: Tensors) -> str:
    """Hash of what an adapter computes, whatever its name and folder."""
    digest = hashlib.sha256()
    for one in [*low_rank, *replacements]:
        content = one.model_dump(mode="json", exclude={"module", "alpha"})
        digest.update(json.dumps(content, sort_keys=True).encode())
    for key in sorted(tensors, key=lambda key: key.rpartition(".")[::2]):
        digest.update(json.dumps([key.rpartition(".")[2], list(tensors[key].shape)]).encode())
        digest.update(tensor_bytes(tensors[key]))
    return digest.hexdigest()


def _decisions(
    document: PlanDocument, adapter: str, low_rank: list[LowRankRecord], replacements: list[ReplacementRecord]
) -> list[Decision]:
    """Decisions for an adapter: low-rank pairs stay digital beside their layers, other matrices take these' places."""
    made = []
    sizes = {layer.name: layer.inputs * layer.outputs for layer in document.layers}
    if low_rank:
        merged = sum(sizes[name] for name in {one.layer for one in low_rank})
        made.append(
            Decision(
                made_by=MADE_BY,
                subject=f"adapter {adapter}",
                choice="digital layers beside the base's",
                reason="the base is programmed once and never rewritten: every adapter reads the same devices",
                figures=[
                    Figure(name="parameters", value=sum(one.parameters for one in low_rank), unit="parameter"),
                    Figure(name="weights to program", value=0, unit="weight"),
                ],
                rejected=[
                    Alternative(
                        choice="merged into the matrices",
                        figures=[Figure(name="weights to program", value=merged, unit="weight")],
                    )
                ],
            )
        )
    made += [
        Decision(
            made_by=MADE_BY,
            subject=f"adapter {adapter}",
            choice=f"{one.layer}: a digital matrix in its place",
            reason="the adapter has a matrix of its own for it, and tiles are not rewritten",
            figures=[Figure(name="parameters", value=one.parameters, unit="parameter")],
        )
        for one in replacements
    ]
    return made
