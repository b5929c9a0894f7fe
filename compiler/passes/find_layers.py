"""Weight matmuls become named layers; a layer that is called several times is one layer with several uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor, fx

from tilewright.compiler.compilation import Compilation
from tilewright.runtime.layers import DigitalLinear
from tilewright.runtime.names import layer_path
from tilewright.runtime.plan import Decision, Figure, LayerPart, LayerRecord, UseRecord

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
        bias = self.bias.data_ptr() if self.bias is not None else None
        return self.weight.data_ptr(), tuple(self.weight.shape), self.weight.stride(), bias


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
    """linear(x, W, b), addmm(b, x, W), mm(x, W) or matmul(x, W) with constant 2-D W; None for anything else."""
    if node.op != "call_function":
        return None
    bias_node: object = None
    if node.target == aten.linear.default:
        x, weight_node = node.args[:2]
        bias_node = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
        transposed = False
    elif node.target == aten.addmm.default and not node.kwargs:
        bias_node, x, weight_node = node.args[:3]
        transposed = True
    elif node.target in (aten.mm.default, aten.matmul.default):
        x, weight_node = node.args[:2]
        transposed = True
    else:
        return None
    weight, bias = compilation.tensor(weight_node), compilation.tensor(bias_node)
    if weight is None or weight.dim() != 2 or not weight.is_floating_point() or compilation.tensor(x) is not None:
        return None
    if bias_node is not None and (bias is None or bias.dim() != 1):
        return None
    assert isinstance(x, fx.Node) and isinstance(weight_node, fx.Node)
    weight = weight.T if transposed else weight
    return WeightMatmul(node, x, weight_node, bias_node if isinstance(bias_node, fx.Node) else None, weight, bias)


def _new_layer(compilation: Compilation, found: WeightMatmul) -> str:
    source = str(found.weight_node.target)
    name = unique_name(source.removesuffix(".weight").removeprefix("folded."), compilation.layers)
    outputs, inputs = found.weight.shape
    bias_name = str(found.bias_node.target) if found.bias_node is not None else None
    compilation.layers[name] = LayerRecord(
        name=name,
        inputs=inputs,
        outputs=outputs,
        has_bias=found.bias is not None,
        has_channel_scale=False,
        parts=[LayerPart(weight=source, bias=bias_name, columns=(0, outputs))],
        target="",
        reason="",
        uses=[],
        blocks=[],
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
    layer.uses.append(UseRecord(input_range=1.0, batched=_is_batched(found.x, compilation.traced.batch_symbols)))
    with graph.inserting_before(found.node):
        call = graph.call_module(layer_path(layer.name), (found.x, use))
    call.meta = dict(found.node.meta)
    found.node.replace_all_uses_with(call)
    graph.erase_node(found.node)


def _is_batched(x: fx.Node, batch_symbols: frozenset[str]) -> bool:
    """Whether the first dimension of ``x`` counts samples, alone or folded with dimensions behind it."""
    value = x.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.dim() < 2:
        return False
    size = value.shape[0]
    if isinstance(size, int):
        return False
    batch = sympy.Symbol("batch", integer=True, positive=True)
    expression = size.node.expr
    expression = expression.subs({symbol: batch for symbol in expression.free_symbols if symbol.name in batch_symbols})
    per_sample = sympy.simplify(expression / batch)
    return batch not in per_sample.free_symbols and not per_sample.is_zero


def unique_name(wanted: str, taken: dict[str, LayerRecord]) -> str:
    """``wanted`` as a dotted path of plain words, with a number behind it if it is taken."""
    plain = ".".join(re.sub(r"[^A-Za-z0-9_]", "_", part) for part in wanted.split(".") if part) or "layer"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name
