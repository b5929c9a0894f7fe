"""The network with its placement as an ONNX file, for viewers such as Netron. It is for looking at, not for running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tilewright.runtime.plan.blocks import positions_of
from tilewright.runtime.plan.names import layer_path, loop_path, matmul_path
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import (
    InputRecord,
    LayerRecord,
    LoopRecord,
    MatmulRecord,
    NodeRecord,
    OutputRecord,
)
from tilewright.targets.errors import InputError
from tilewright.targets.spec import Chip

DOMAIN = "tilewright"
OPSET = 1
MOST_TILES = 10_000
"""Tiles of a layer that are named one by one."""


def placed_onnx(plan: Plan) -> bytes:
    """ONNX file of nodes, layers and products, with target, tiles and ranges as attributes, without weights.

    Raises ``InputError`` where the package onnx is missing.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise InputError(f"writing ONNX needs the package onnx: pip install 'tilewright[onnx]' ({error})") from error
    document = plan.document
    modules: dict[str, LayerRecord | MatmulRecord | LoopRecord] = {
        **{layer_path(layer.name): layer for layer in document.layers},
        **{matmul_path(matmul.name): matmul for matmul in document.matmuls},
        **{loop_path(loop.name): loop for loop in document.loops},
    }
    placeholders, nodes, outputs = _nodes(document.graph, modules, document.chip)

    def values(names: list[str], known: Sequence[InputRecord | OutputRecord]) -> list[Any]:
        return [
            helper.make_tensor_value_info(
                name, getattr(TensorProto, TYPES.get(one.dtype, "UNDEFINED")), list(one.shape)
            )
            for name, one in zip(names, known, strict=True)
        ]

    inputs, ends = values(placeholders, document.inputs), values(outputs, document.outputs)
    graph = helper.make_graph(nodes, document.model.name, inputs, ends)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(DOMAIN, OPSET)], producer_name="tilewright")
    for key, value in (("target", document.chip.name), ("tiles", str(document.placement.tiles))):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


def _nodes(
    records: Sequence[NodeRecord], modules: Mapping[str, LayerRecord | MatmulRecord | LoopRecord], chip: Chip
) -> tuple[list[str], list[Any], list[str]]:
    """Inputs, ONNX nodes and outputs of a graph. modules: what it calls, by path."""
    from onnx import helper

    inputs, nodes, outputs = [], [], list[str]()
    for record in records:
        if record.op == "placeholder":
            inputs.append(record.name)
            continue
        if record.op == "output":
            outputs = list(_operands(record.args))
            continue
        kind, attributes = _described(record, modules, chip)
        nodes.append(
            helper.make_node(
                kind, list(_operands([record.args, record.kwargs])), [record.name], name=record.name, domain=DOMAIN,
                **attributes,
            )
        )  # fmt: skip
    return inputs, nodes, outputs


def _body(loop: LoopRecord, modules: Mapping[str, LayerRecord | MatmulRecord | LoopRecord], chip: Chip) -> Any:
    """Body of a loop as a graph inside."""
    from onnx import TensorProto, helper

    inputs, nodes, outputs = _nodes(loop.graph, modules, chip)
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in one] for one in (inputs, outputs)
    ]
    return helper.make_graph(nodes, loop.name, *ends)


TYPES = {
    "float32": "FLOAT", "float16": "FLOAT16", "bfloat16": "BFLOAT16", "float64": "DOUBLE", "int64": "INT64",
    "int32": "INT32", "int16": "INT16", "int8": "INT8", "uint8": "UINT8", "bool": "BOOL",
}  # fmt: skip


def _described(
    record: NodeRecord, modules: Mapping[str, LayerRecord | MatmulRecord | LoopRecord], chip: Chip
) -> tuple[str, dict[str, Any]]:
    """Kind of a node, as a viewer shows it, and its attributes."""
    if record.op == "get_attr":
        return "Constant", {"tensor": record.target}
    if record.op == "call_function":
        literals = [item for item in record.args if isinstance(item, bool | int | float | str)]
        return record.target.split(".")[1], {
            "function": record.target,
            **({"literals": str(literals)} if literals else {}),
        }
    called = modules[record.target]
    if isinstance(called, LayerRecord):
        about: dict[str, Any] = {
            "layer": called.name, "target": called.target, "shape": [called.inputs, called.outputs],
            "tiles": list(_tiles(called, chip)),
            "reason": called.reason,
        }  # fmt: skip
        return "AnalogLayer" if called.tiles else "DigitalLayer", about
    if isinstance(called, LoopRecord):
        return "Loop", {"loop": called.name, "states": called.states, "body": _body(called, modules, chip)}
    return "AttentionProduct", {"product": called.name, "unit": called.operands, "reason": called.reason}


def _tiles(layer: LayerRecord, chip: Chip) -> Iterator[str]:
    yield from map(str, islice(positions_of(layer, chip), MOST_TILES))
    if layer.tile_count > MOST_TILES:
        yield f"and {layer.tile_count - MOST_TILES} more"
    if not layer.tiles:
        yield "none"


def _operands(value: Any) -> Iterator[str]:
    """Names of the nodes that arguments speak of."""
    if isinstance(value, dict):
        if set(value) == {"node"}:
            yield str(value["node"])
        else:
            for item in value.values():
                yield from _operands(item)
    elif isinstance(value, list):
        for item in value:
            yield from _operands(item)
