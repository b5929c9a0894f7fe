"""Weight matmuls become named layers; a layer that is called several times is one layer with several uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from tilewright.compiler.lowering.rewriting import arguments_of
from tilewright.compiler.network.compilation import Compilation, LayerOrigins
from tilewright.runtime.chip.layers import DigitalLinear
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import LayerPart, LayerRecord, UseRecord
from tilewright.runtime.storage.memory_place import memory_place

aten = torch.ops.aten


@dataclass
class WeightMatmul:
    """A product of an activation and a constant matrix, as found in the graph."""

    node: fx.Node
    x: fx.Node
    weight_node: fx.Node
    bias_node: fx.Node | None
    weight: Tensor
    """[outputs, inputs]."""
    bias: Tensor | None

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for uses of the same weights: where they lie in memory (tied parameters lie in one place)."""
        bias = memory_place(self.bias) if self.bias is not None else None
        return memory_place(self.weight), tuple(self.weight.shape), self.weight.stride(), bias


def find_layers(compilation: Compilation) -> None:
    """Replace each weight matmul with a call of its layer."""
    names: dict[tuple[object, ...], str] = {}
    for node in list(compilation.graph.graph.nodes):
        found = match_weight_matmul(compilation, node)
        if found is None:
            continue
        if found.identity not in names:
            names[found.identity] = _new_layer(compilation, found)
        _replace(compilation, found, compilation.layers[names[found.identity]])
    compilation.tidy()


def match_weight_matmul(compilation: Compilation, node: fx.Node) -> WeightMatmul | None:
    """linear(x, W, b) with constant W and b; None for anything else."""
    if node.op != "call_function" or node.target != aten.linear.default:
        return None
    x, weight_node, bias_node = arguments_of(node).values()
    weight, bias = compilation.tensor(weight_node), compilation.tensor(bias_node)
    if (
        weight is None
        or weight.dim() != 2
        or not weight.numel()
        or not weight.is_floating_point()
        or compilation.tensor(x) is not None
    ):
        return None
    if bias_node is not None and (bias is None or bias.dim() != 1):
        return None
    return WeightMatmul(node, x, weight_node, bias_node, weight, bias)


def _new_layer(compilation: Compilation, found: WeightMatmul) -> str:
    path = str(found.weight_node.target)
    source = compilation.source_names.get(path, path)
    name = unique_name(source.removesuffix(".weight"), compilation.layers)
    outputs, inputs = found.weight.shape
    origins = LayerOrigins(
        weight=compilation.origins.get(path, ()),
        bias=compilation.origins.get(str(found.bias_node.target), ()) if found.bias_node is not None else (),
    )
    compilation.layer_origins[name] = origins
    part = LayerPart(
        weight=origins.weight[0] if origins.weight else source,
        bias=origins.bias[0] if origins.bias else None,
        columns=(0, outputs),
    )
    compilation.layers[name] = LayerRecord(
        name=name,
        inputs=inputs,
        outputs=outputs,
        has_bias=found.bias is not None,
        has_channel_scale=False,
        has_calibration=False,
        parts=[part],
        target="",
        programming=None,
        clip_deviations=None,
        reason="",
        uses=[],
        row_splits=[],
        column_splits=[],
        tiles=[],
        options=[],
    )
    compilation.graph.add_submodule(layer_path(name), DigitalLinear(found.weight, found.bias))
    compilation.decisions.append(
        Decision(
            made_by="find_layers",
            subject=name,
            choice="a layer",
            reason="its weight matrix is constant and multiplies an activation: it may stay in a crossbar",
            figures=[Figure(name="weights", value=inputs * outputs, unit="weight")],
        )
    )
    return name


def _replace(compilation: Compilation, found: WeightMatmul, layer: LayerRecord) -> None:
    graph = compilation.graph.graph
    use = len(layer.uses)
    layer.uses.append(UseRecord(input_range=None, sample_axis=None))
    with graph.inserting_before(found.node):
        call = graph.call_module(layer_path(layer.name), (found.x, use))
    call.meta = dict(found.node.meta)
    found.node.replace_all_uses_with(call)
    graph.erase_node(found.node)


def unique_name(wanted: str, taken: dict[str, LayerRecord]) -> str:
    """``wanted`` as a dotted path of plain words, with a number behind it if it is taken.

    No layer's name is the beginning of another's path: layers are modules, and none is inside another.
    """
    plain = ".".join(re.sub(r"[^A-Za-z0-9_]", "_", part) for part in wanted.split(".") if part) or "layer"
    outer = max((name for name in taken if plain.startswith(f"{name}.")), key=len, default="")
    if outer:
        plain = f"{outer}_{plain.removeprefix(outer + '.').replace('.', '_')}"
    name, number = plain, 2
    while name in taken or any(other.startswith(f"{name}.") for other in taken):
        name, number = f"{plain}_{number}", number + 1
    return name
