"""Products of two activations go to the digital INT-n unit; softmax between them stays in FP32."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

import torch
from torch import fx

from tilewright.compiler.lowering.rewriting import Rewriter, arguments_of, depends_on_activations, shape_of
from tilewright.compiler.mapping.overrides import EVERY_LAYER, chosen_for
from tilewright.compiler.network.compilation import Compilation
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.names import matmul_path
from tilewright.runtime.plan.records import MatmulRecord
from tilewright.runtime.units.matmul import DigitalMatmul
from tilewright.targets.spec import bits_of

aten = torch.ops.aten
PRODUCTS = {aten.matmul.default, aten.bmm.default, aten.mm.default, aten.mv.default, aten.dot.default}
"""Operators that multiply two tensors; ``write_as_linear`` has taken apart those that also add."""
SOFTMAX = {aten.softmax.int, aten._softmax.default, aten._safe_softmax.default}
PASSING = {
    aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar, aten.add.Tensor, aten.sub.Tensor,
    aten.masked_fill.Scalar, aten.masked_fill.Tensor, aten.where.self, aten.where.ScalarOther, aten.maximum.default,
    aten.clamp.default, aten.to.dtype, aten._to_copy.default, aten.reshape.default, aten.expand.default,
    aten.tanh.default,
}  # fmt: skip
"""What may stand between an attention product and its softmax: scale, mask, cap, cast, shape."""


def route_attention(compilation: Compilation) -> None:
    """Give every product of two activations a unit and a name."""
    graph = compilation.graph.graph
    calls: dict[str, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in PRODUCTS:
            continue
        left, right = arguments_of(node).values()
        if not all(map(_is_float, (left, right))) or not any(map(depends_on_activations, (left, right))):
            continue
        name, kind = _name(node, calls)
        calls[name] = _route(compilation, node, name, left, right)
        compilation.matmuls[name] = MatmulRecord(
            name=name, kind=kind, operands="fp32", left_ranges=[1.0], right_ranges=[1.0], left_signed=True, reason=""
        )
    _choose_units(compilation, calls)
    compilation.tidy()


def _route(compilation: Compilation, node: fx.Node, name: str, left: fx.Node, right: fx.Node) -> fx.Node:
    """The call of a module in place of the product. Units multiply matrices: a vector is one row, or one column."""
    compilation.graph.add_submodule(matmul_path(name), DigitalMatmul())
    rewriter = Rewriter(compilation, node)
    added = []
    if len(shape_of(right) or ()) == 1:
        right = rewriter.call(aten.unsqueeze.default, right, -1)
        added.append(-1)
    if len(shape_of(left) or ()) == 1:
        left = rewriter.call(aten.unsqueeze.default, left, 0)
        added.append(-2)
    call = result = rewriter.call_module(matmul_path(name), (left, right), added)
    for dimension in reversed(added):
        result = rewriter.call(aten.squeeze.dim, result, dimension)
    rewriter.replace_with(result)
    return call


def _choose_units(compilation: Compilation, calls: dict[str, fx.Node]) -> None:
    names = {name: [name, name.rpartition(".")[0] or name] for name in calls}
    chosen = chosen_for(names, compilation.attention_units, "an attention unit", "product of activations")
    for name, call in calls.items():
        unit, pattern = chosen[name]
        record = compilation.matmuls[name]
        record.operands = unit.operands
        whole = bits_of(unit.operands) is not None
        record.left_signed = not (whole and unit.probabilities == "unsigned" and record.kind == "context")
        why = f"asked for by {pattern!r}" if pattern != EVERY_LAYER else "the unit of all products"
        ranges = "one range an operand"
        if whole and unit.scales == "per_head":
            heads = _heads(call)
            if heads is not None:
                compilation.heads[name] = heads
            ranges = (
                f"a range for each of {heads} heads" if heads else "one range an operand: heads cannot be told apart"
            )
        if not whole:
            ranges = "no ranges: its numbers are floating point"
        sign = "" if record.left_signed else ", probabilities without a sign"
        record.reason = (
            f"both operands change with the input, so neither can stay in a crossbar: an {unit.operands.upper()} unit "
            f"multiplies them, {why}"
        )
        compilation.decisions.append(_decision(record, f"{ranges}{sign}", why))


def _heads(call: fx.Node) -> int | None:
    """The second of four dimensions, where both operands have the same known number of them."""
    sizes: list[int | None] = []
    for operand in call.args:
        shape = tuple(operand.meta["val"].shape) if isinstance(operand, fx.Node) and "val" in operand.meta else ()
        sizes.append(shape[1] if len(shape) == 4 and isinstance(shape[1], int) else None)
    return sizes[0] if sizes[0] == sizes[1] else None


def _is_float(operand: object) -> bool:
    value = operand.meta.get("val") if isinstance(operand, fx.Node) else None
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _name(node: fx.Node, taken: Container[str]) -> tuple[str, Literal["scores", "context", "product"]]:
    """A name of its own after the module that it is in, and its kind."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    module = stack[-1][0] if stack else ""
    kind: Literal["scores", "context", "product"] = "product"
    if _feeds_softmax(node):
        kind = "scores"
    elif _comes_from_softmax(node.args[0]):
        kind = "context"
    plain = ".".join(part for part in module.split(".") if part.replace("_", "").isalnum())
    base = f"{plain}.{kind}" if plain else kind
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name, kind


def _feeds_softmax(node: fx.Node) -> bool:
    waiting, seen = list(node.users), {node}
    while waiting:
        user = waiting.pop()
        if user in seen:
            continue
        seen.add(user)
        if user.target in SOFTMAX:
            return True
        if user.target in PASSING:
            waiting.extend(user.users)
    return False


def _comes_from_softmax(node: object) -> bool:
    waiting, seen = [node], set()
    while waiting:
        current = waiting.pop()
        if not isinstance(current, fx.Node) or current in seen:
            continue
        seen.add(current)
        if current.target in SOFTMAX:
            return True
        if current.target in PASSING:
            waiting.extend(current.all_input_nodes)
    return False


def _decision(record: MatmulRecord, how: str, why: str) -> Decision:
    bits = bits_of(record.operands) or int(record.operands[-2:])
    return Decision(
        made_by="route_attention",
        subject=record.name,
        choice=f"{record.operands.upper()} unit, {how}",
        reason=why,
        figures=[Figure(name="operand precision", value=bits, unit="bit")],
    )
