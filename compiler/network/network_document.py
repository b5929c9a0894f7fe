"""Record of a lowered network, and the way back: all that mapping it onto a chip needs, without what traced it.

Tensors lie beside the record under names of their own: those of the graph, the matrices of layers, and what the network
is compared and calibrated with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from tilewright.compiler.network.layers import Product, WeightLayer
from tilewright.compiler.network.loops import loop_records, loops_of
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.traced import Inputs, Traced
from tilewright.compiler.network.trained_layers import TrainedLayer
from tilewright.compiler.network.trained_products import TrainedProduct
from tilewright.runtime.plan.decisions import Decision, Verification
from tilewright.runtime.plan.graph import build_module, decode_graph, encode_graph
from tilewright.runtime.plan.names import bias_key, layer_path, matmul_path, weight_key
from tilewright.runtime.plan.records import (
    Calibration,
    DimensionRecord,
    FileRecord,
    InputRecord,
    LoopRecord,
    ModelIdentity,
    NodeRecord,
    OutputRecord,
    Role,
    TensorRecord,
    UnusedTensor,
)
from tilewright.runtime.plan.types import NamedShape, Record, Shape
from tilewright.runtime.units.full_precision import DigitalLinear, DigitalMatmul

Tensors = dict[str, Tensor]


class SampleRecord(Record):
    """Inputs by name and the model's outputs for them: names of tensors."""

    inputs: dict[str, str]
    outputs: list[str]


class TrainedRecord(Record):
    """Input ranges that a layer was trained with, as ``TrainedLayer`` has them; its channel scale is a tensor."""

    inputs: int
    input_ranges: tuple[float, ...]
    slices: tuple[int, ...]
    channel_scale: str | None
    never_updated: bool


class TrainedProductRecord(Record):
    """Ranges of a product's operands that it was trained with."""

    left: tuple[float, ...]
    right: tuple[float, ...]


class NetworkDocument(Record):
    """A lowered network, as ``network_document`` writes it. Fields are those of ``Network`` and ``Traced``."""

    key: str
    """Hash of all that the network follows from."""
    model: ModelIdentity
    inputs: list[InputRecord]
    outputs: list[OutputRecord]
    dimensions: dict[str, DimensionRecord]
    size_conditions: list[str]
    calibration: Calibration
    unused_tensors: list[UnusedTensor]
    trained: dict[str, TrainedRecord]
    trained_products: dict[str, TrainedProductRecord]
    notes: list[str]
    copies: dict[str, str]
    examples: list[SampleRecord]
    trials: list[SampleRecord]
    calibration_inputs: list[SampleRecord]
    graph: list[NodeRecord]
    loops: list[LoopRecord]
    shapes: dict[str, NamedShape]
    """Shape of each node that gives a tensor."""
    layers: dict[str, WeightLayer]
    products: dict[str, Product]
    fused: dict[str, list[WeightLayer]]
    origins: dict[str, tuple[str, ...]]
    source_names: dict[str, str]
    digital: dict[str, tuple[Role, str]]
    parameters: dict[str, Shape]
    decisions: list[Decision]
    verification: list[Verification]
    tensors: dict[str, TensorRecord]
    weights: FileRecord | None
    """File of the tensors; None for a network without weights."""
    tokenizer: list[FileRecord]
    written_by: Literal["tilewright"] = "tilewright"


def network_document(network: Network, key: str) -> tuple[NetworkDocument, Tensors]:
    """The record of a lowered network, without files and tensors' records yet, and its tensors by name."""
    traced, tensors = network.traced, dict[str, Tensor]()
    for node in network.graph.graph.nodes:
        tensor = network.tensor(node)
        if tensor is not None:
            tensors[str(node.target)] = tensor
    for name in network.layers:
        module = network.layer_module(name)
        tensors[weight_key(name)] = module.weight
        if module.bias is not None:
            tensors[bias_key(name)] = module.bias
    examples = zip(traced.examples, traced.expected, strict=True)
    document = NetworkDocument(
        key=key,
        **{name: getattr(traced, name) for name in _OF_TRACED},
        **{name: getattr(network, name) for name in _OF_NETWORK},
        trained={weight: _keep_trained(weight, layer, tensors) for weight, layer in traced.trained.items()},
        trained_products={
            name: TrainedProductRecord(**vars(product)) for name, product in traced.trained_products.items()
        },
        examples=_keep("example", examples, tensors),
        trials=_keep("trial", traced.trials, tensors),
        calibration_inputs=_keep("sample", ((sample, []) for sample in traced.calibration_inputs), tensors),
        graph=encode_graph(network.graph.graph),
        loops=loop_records(network),
        shapes={node.name: list(node.meta["shape"]) for node in network.graph.graph.nodes if "shape" in node.meta},
        parameters={name: list(tensor.shape) for name, tensor in network.parameters.items()},
        tensors={},
        weights=None,
        tokenizer=[],
    )
    return document, tensors


_OF_TRACED = (
    "model", "inputs", "outputs", "dimensions", "size_conditions", "calibration", "unused_tensors", "notes", "copies",
)  # fmt: skip
_OF_NETWORK = ("layers", "products", "fused", "origins", "source_names", "digital", "decisions", "verification")


def _keep(
    kind: str, pairs: Iterator[tuple[Inputs, list[Tensor]]] | Sequence[tuple[Inputs, list[Tensor]]], tensors: Tensors
) -> list[SampleRecord]:
    """Add the tensors of samples to those to be stored. Returns a record of each sample."""
    records = []
    for number, (inputs, outputs) in enumerate(pairs):
        named = {name: f"{kind}/{number}/{name}" for name in inputs}
        results = [f"{kind}/{number}/{place}" for place in range(len(outputs))]
        tensors |= {named[name]: value for name, value in inputs.items()}
        tensors |= dict(zip(results, outputs, strict=True))
        records.append(SampleRecord(inputs=named, outputs=results))
    return records


def _keep_trained(weight: str, layer: TrainedLayer, tensors: Tensors) -> TrainedRecord:
    """Add the channel scale to the tensors that are to be stored. Returns the record of all else."""
    scale = None
    if layer.channel_scale is not None:
        scale = f"trained/{weight}"
        tensors[scale] = layer.channel_scale
    return TrainedRecord(**{**vars(layer), "channel_scale": scale})


def _trained(record: TrainedRecord, tensors: Tensors) -> TrainedLayer:
    scale = None if record.channel_scale is None else tensors[record.channel_scale]
    return TrainedLayer(**{**dict(record), "channel_scale": scale})


def network_of(document: NetworkDocument, tensors: Tensors, tokenizer_files: dict[str, bytes]) -> Network:
    """The network that a record was made of. Raises ``InputError`` or ``KeyError`` for a record that is not whole."""
    modules: dict[str, nn.Module] = {
        layer_path(name): DigitalLinear(tensors[weight_key(name)], tensors.get(bias_key(name)))
        for name in document.layers
    }
    modules |= {matmul_path(name): DigitalMatmul() for name in document.products}
    modules |= loops_of(document.loops, modules)
    attributes = {node.target for node in document.graph if node.op == "get_attr"}
    graph = decode_graph(document.graph, set(modules), attributes)
    for node in graph.nodes:
        if node.name in document.shapes:
            node.meta["shape"] = tuple(document.shapes[node.name])
        if node.op == "placeholder":
            node.target = node.meta.pop("input")
    samples = {
        kind: [_sample(record, tensors) for record in getattr(document, kind)]
        for kind in ("examples", "trials", "calibration_inputs")
    }
    traced = Traced(
        graph=build_module(graph, modules, {name: tensors[name] for name in attributes}),
        **{name: getattr(document, name) for name in _OF_TRACED},
        examples=[inputs for inputs, _ in samples["examples"]],
        expected=[outputs for _, outputs in samples["examples"]],
        trials=samples["trials"],
        calibration_inputs=[inputs for inputs, _ in samples["calibration_inputs"]],
        trained={weight: _trained(record, tensors) for weight, record in document.trained.items()},
        trained_products={name: TrainedProduct(**dict(one)) for name, one in document.trained_products.items()},
        original=None,
        tokenizer_files=tokenizer_files,
        has_weights=document.weights is not None,
    )
    network = Network(
        traced,
        traced.graph,
        {name: torch.empty(shape, device="meta") for name, shape in document.parameters.items()},
        **{name: getattr(document, name) for name in _OF_NETWORK},
        is_lowered=True,
    )
    network.hold_what_loops_call()
    return network


def _sample(record: SampleRecord, tensors: Tensors) -> tuple[Inputs, list[Tensor]]:
    return {name: tensors[key] for name, key in record.inputs.items()}, [tensors[key] for key in record.outputs]
