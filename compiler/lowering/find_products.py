"""Lowering of products of two activations to named modules; softmax between them stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

import torch
from torch import fx

from tilewright.compiler.network.layers import Kind, Product
from tilewright.compiler.network.names import numbered
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import (
    Rewriter,
    arguments_of,
    depends_on_activations,
    is_float,
    module_of,
    shape_of,
)
from tilewright.runtime.plan.names import matmul_path
from tilewright.runtime.units.full_precision import DigitalMatmul

aten = torch.ops.aten
PRODUCTS = {aten.matmul.default, aten.bmm.default, aten.mm.default, aten.mv.default, aten.dot.default}
"""Operators that multiply two tensors; ``write_as_linear`` has taken apart those that also add."""
SOFTMAX = {aten.softmax.int, aten._softmax.default, aten._safe_softmax.default}
PASSING = {
    aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar, aten.add.Tensor, aten.sub.Tensor,
    aten.masked_fill.Scalar, aten.masked_fill.Tensor, aten.where.self, aten.where.ScalarOther, aten.maximum.default,
    aten.clamp.default, aten.to.dtype, aten._to_copy.default, aten.reshape.default, aten.expand.default,
    aten.tanh.default, aten.flatten.using_ints, aten.unflatten.int, aten.to.dtype_layout, aten.type_as.default,
}  # fmt: skip
"""Operators that may stand between an attention product and its softmax: scale, mask, cap, cast, shape."""


def find_products(network: Network) -> None:
    """Give every product of two activations a name, and a module in place of its operator."""
    for node in network.calls_of(*PRODUCTS):
        left, right = arguments_of(node).values()
        if not all(map(is_float, (left, right))) or not any(map(depends_on_activations, (left, right))):
            continue
        name, kind = _name(node, network.products)
        call = _route(network, node, name, left, right)
        network.products[name] = Product(name, kind, _heads(call))
    network.tidy()


def _route(network: Network, node: fx.Node, name: str, left: fx.Node, right: fx.Node) -> fx.Node:
    """The call of a module in place of the product. Units multiply matrices: a vector is one row, or one column."""
    network.graph.add_submodule(matmul_path(name), DigitalMatmul())
    rewriter = Rewriter(network, node)
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


def _heads(call: fx.Node) -> int | None:
    """Number of heads: the second of four dimensions, if both operands have the same known number there; else None."""
    left, right = (shape_of(operand) or () for operand in call.args)
    if len(left) != 4 or len(right) != 4 or not isinstance(left[1], int) or not isinstance(right[1], int):
        return None
    return left[1] if left[1] == right[1] else None


def _name(node: fx.Node, taken: Container[str]) -> tuple[str, Kind]:
    """Name of a product after the module that it is in, not taken yet, and its kind."""
    kind: Kind = "product"
    if _meets_softmax(node.users, lambda user: user.users):
        kind = "scores"
    elif _meets_softmax([node.args[0]], lambda source: source.all_input_nodes):
        kind = "context"
    plain = ".".join(part for part in module_of(node).split(".") if part.replace("_", "").isalnum())
    base = f"{plain}.{kind}" if plain else kind
    return numbered(base, lambda name: name not in taken), kind


def _meets_softmax(starts: Iterable[object], onward: Callable[[fx.Node], Iterable[fx.Node]]) -> bool:
    """True if a softmax is among the starts or behind them, with nothing between but what may stand there."""
    waiting, seen = list(starts), set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, fx.Node) or node in seen:
            continue
        seen.add(node)
        if node.target in SOFTMAX:
            return True
        if node.target in PASSING:
            waiting.extend(onward(node))
    return False
