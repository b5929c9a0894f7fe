"""Complex numbers of a traced program as pairs of real ones, with the pair along a new last dimension.

Models turn vectors by positions so (DeepSeek-V2, Llama 4). Plans know real numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher

from tilewright.compiler.network.unsupported import unsupported_aten

aten = torch.ops.aten
SAME = {
    aten.alias.default, aten.clone.default, aten.detach.default, aten._to_copy.default, aten.contiguous.default,
    aten.to.device, aten.to.dtype, aten.to.dtype_layout, aten.lift_fresh_copy.default,
}  # fmt: skip
"""Operators that change no number."""


def as_pairs(graph: fx.Graph) -> None:
    """Write all complex numbers of a graph as pairs. Raises ``InputError`` for an operator not known on them."""
    pairs: dict[fx.Node, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" or not (_is_complex(node) or any(map(_is_complex, node.all_input_nodes))):
            continue
        if node.target is aten._assert_tensor_metadata.default:
            graph.erase_node(node)
            continue
        write = WRITTEN.get(node.target)
        if write is None and node.target not in SAME:
            raise unsupported_aten(str(node.target), f"on complex numbers, node {node.name}")
        with graph.inserting_before(node):
            given = fx.node.map_arg(node.args, lambda one: pairs.get(one, one))
            flags = [isinstance(one, fx.Node) and _is_complex(one) for one in node.args]
            made = given[0] if write is None else write(_Maker(graph, node), flags, *given)
        if _is_complex(node):
            pairs[node] = made
        else:
            node.replace_all_uses_with(made)
    for node in reversed(list(graph.nodes)):
        if (
            node.op == "call_function"
            and not node.users
            and (node in pairs or any(map(_is_complex, node.all_input_nodes)))
        ):
            graph.erase_node(node)


def _is_complex(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.is_complex()


class _Maker:
    """Maker of the nodes that are written in place of one."""

    def __init__(self, graph: fx.Graph, node: fx.Node) -> None:
        self.graph, self.node = graph, node

    def __call__(self, function: Any, *args: Any) -> fx.Node:
        made = self.graph.call_function(function, args)
        values = fx.node.map_arg(args, lambda one: one.meta["val"])
        with self.node.meta["val"].fake_mode, enable_python_dispatcher():
            made.meta = self.node.meta | {"val": function(*values)}
        return made

    def pair(self, real: fx.Node, imaginary: fx.Node) -> fx.Node:
        """Pair of two tensors of real numbers."""
        return self(aten.stack.default, [real, imaginary], -1)

    def parts(self, pair: fx.Node) -> tuple[fx.Node, fx.Node]:
        """Real and imaginary numbers of a pair."""
        return self(aten.select.int, pair, -1, 0), self(aten.select.int, pair, -1, 1)


def _polar(make: _Maker, _: list[bool], size: fx.Node, angle: fx.Node) -> fx.Node:
    sides = (make(aten.mul.Tensor, size, make(turn, angle)) for turn in (aten.cos.default, aten.sin.default))
    return make.pair(*sides)


def _multiplied(make: _Maker, flags: list[bool], left: Any, right: Any) -> fx.Node:
    if flags == [True, True]:
        (a, b), (c, d) = make.parts(left), make.parts(right)
        real = make(aten.sub.Tensor, make(aten.mul.Tensor, a, c), make(aten.mul.Tensor, b, d))
        return make.pair(real, make(aten.add.Tensor, make(aten.mul.Tensor, a, d), make(aten.mul.Tensor, b, c)))
    pair, factor = (left, right) if flags[0] else (right, left)
    factor = make(aten.unsqueeze.default, factor, -1) if isinstance(factor, fx.Node) else factor
    return make(aten.mul.Tensor, pair, factor)


def _along(make: _Maker, _: list[bool], pair: fx.Node, dimension: int = 0, *others: Any) -> fx.Node:
    """The operator itself, along a dimension that may count from the end."""
    return make(make.node.target, pair, dimension if dimension >= 0 else dimension - 1, *others)


WRITTEN: dict[Any, Callable[..., fx.Node]] = {
    aten.polar.default: _polar,
    aten.complex.default: lambda make, _, real, imaginary: make.pair(real, imaginary),
    aten.view_as_complex.default: lambda _make, _, pair: pair,
    aten.view_as_real.default: lambda _make, _, pair: pair,
    aten.mul.Tensor: _multiplied,
    **dict.fromkeys((aten.unsqueeze.default, aten.slice.Tensor, aten.select.int), _along),
}
"""Functions that write what stands for an operator, of a maker, which operands are complex, and operands as pairs."""
