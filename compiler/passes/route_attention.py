"""Products of two activations go to the digital INT-n unit; softmax between them stays in FP32."""

from __future__ import annotations

import torch
from torch import fx

from tilewright.compiler.compilation import Compilation
from tilewright.compiler.rewriting import depends_on_activations
from tilewright.runtime.names import matmul_path
from tilewright.runtime.plan import Decision, Figure, MatmulRecord
from tilewright.runtime.units import DigitalMatmul
from tilewright.targets.spec import bits_of

aten = torch.ops.aten
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
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in (aten.matmul.default, aten.bmm.default):
            continue
        left, right = node.args
        if not all(map(_is_float, (left, right))) or not any(map(depends_on_activations, (left, right))):
            continue
        record = _record(compilation, node)
        compilation.graph.add_submodule(matmul_path(record.name), DigitalMatmul())
        with graph.inserting_before(node):
            call = graph.call_module(matmul_path(record.name), (left, right))
        call.meta = dict(node.meta)
        node.replace_all_uses_with(call)
        graph.erase_node(node)
        compilation.matmuls[record.name] = record
        compilation.decisions.append(_decision(record))
    compilation.tidy()


def _is_float(operand: object) -> bool:
    value = operand.meta.get("val") if isinstance(operand, fx.Node) else None
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _record(compilation: Compilation, node: fx.Node) -> MatmulRecord:
    stack = list(node.meta.get("nn_module_stack", {}).values())
    module = stack[-1][0] if stack else ""
    kind = "scores" if _feeds_softmax(node) else "context" if _comes_from_softmax(node.args[0]) else "product"
    plain = ".".join(part for part in module.split(".") if part.replace("_", "").isalnum())
    base = f"{plain}.{kind}" if plain else kind
    name, number = base, 2
    while name in compilation.matmuls:
        name, number = f"{base}_{number}", number + 1
    operands = compilation.attention_operands
    reason = (
        f"both operands change with the input, so neither can stay in a crossbar: an {operands.upper()} unit "
        "multiplies them"
    )
    return MatmulRecord(name=name, kind=kind, operands=operands, left_range=1.0, right_range=1.0, reason=reason)


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


def _decision(record: MatmulRecord) -> Decision:
    unit = f"{record.operands.upper()} unit"
    bits = bits_of(record.operands) or int(record.operands[-2:])
    figures = [Figure(name="operand precision", value=bits, unit="bit")]
    return Decision(made_by="route_attention", subject=record.name, choice=unit, reason=record.reason, figures=figures)
