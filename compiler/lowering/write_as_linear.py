"""Rewriting of every product of an activation and constant matrices, however written, as ``linear(x, W, b)``.

mm, addmm, matmul, bmm, mv and dot, with the constant on either side and factors in its weights; a stack of matrices as
one product each; an addition of a constant vector behind a product as its bias. Products of two activations that were
written with an addition (addmm, baddbmm, linear) are taken apart too, for ``find_products`` to find.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import Rewriter, arguments_of, depends_on_activations, shape_of

aten = torch.ops.aten
MATMULS = (aten.mm.default, aten.bmm.default, aten.matmul.default, aten.mv.default, aten.dot.default)
BIASED = (aten.addmm.default, aten.baddbmm.default)
MOST_MATRICES = 1024
"""Largest number of matrices in one operand that become layers; a larger stack stays digital."""


@torch.no_grad()
def write_as_linear(network: Network) -> None:
    """Rewrite all products of activations and constant matrices."""
    for node in network.calls_of(*BIASED):
        _take_bias_apart(network, node)
    for node in network.calls_of(aten.linear.default):
        _take_linear_apart(network, node)
    for node in network.calls_of(*MATMULS):
        _rewrite(network, node)
    for node in network.calls_of(aten.add.Tensor):
        _join_bias(network, node)
    network.tidy()


def _take_bias_apart(network: Network, node: fx.Node) -> None:
    """Replace addmm(b, x, y, β, α) by α x y + β b, with α in the weights where x or y is constant."""
    bias, left, right, beta, alpha = arguments_of(node).values()
    rewriter = Rewriter(network, node)
    constants = [network.tensor(operand) is not None for operand in (left, right)]
    if constants == [True, False]:
        left, alpha = _times(rewriter, left, alpha), 1
    elif constants == [False, True]:
        right, alpha = _times(rewriter, right, alpha), 1
    result = _times(rewriter, rewriter.call(aten.matmul.default, left, right), alpha)
    if beta != 0:  # torch ignores the bias then, even a NaN in it
        result = rewriter.call(aten.add.Tensor, result, _times(rewriter, bias, beta))
    rewriter.replace_with(result)


def _times(rewriter: Rewriter, value: fx.Node, factor: float) -> fx.Node:
    """Product ``value · factor``, computed now where the value is constant."""
    if factor == 1:
        return value
    tensor, path = rewriter.network.tensor(value), str(value.target)
    if tensor is not None:
        return rewriter.constant(path, tensor * factor)
    return rewriter.call(aten.mul.Tensor, value, factor)


def _take_linear_apart(network: Network, node: fx.Node) -> None:
    """Replace linear(x, y, b) by x yᵀ + b, where y is computed from activations, or is one constant vector."""
    x, weight, bias = arguments_of(node).values()
    constant = network.tensor(weight)
    if constant.dim() != 1 if constant is not None else not depends_on_activations(weight):
        return
    rewriter = Rewriter(network, node)
    is_vector = len(shape_of(weight) or ()) == 1
    transposed = weight if is_vector else rewriter.call(aten.transpose.int, weight, 0, 1)
    product = rewriter.call(aten.matmul.default, x, transposed)
    rewriter.replace_with(product if bias is None else rewriter.call(aten.add.Tensor, product, bias))


def _rewrite(network: Network, node: fx.Node) -> None:
    left, right = node.args[:2]
    constants = network.tensor(left), network.tensor(right)
    if (constants[0] is None) == (constants[1] is None):
        return
    on_left = constants[0] is not None
    x, matrices = (right, left) if on_left else (left, right)
    tensor = constants[0] if on_left else constants[1]
    assert tensor is not None and isinstance(x, fx.Node) and isinstance(matrices, fx.Node)
    if not tensor.is_floating_point() or tensor.dim() == 0 or not depends_on_activations(x):
        return
    stack = _without_ones(tensor)
    dimensions = len(shape_of(x) or ())
    if stack.dim() > 3 or (stack.dim() == 3 and not _is_stack_of(x, stack)) or tensor.dim() > max(dimensions, 2):
        network.stays_digital(matrices, "operand", "a stack of matrices of a form that is not taken apart")
        return
    rewriter, path = Rewriter(network, node), str(matrices.target)
    turned = on_left and dimensions > 1
    if turned:
        x = rewriter.call(aten.transpose.int, x, -2, -1)
    # linear takes [outputs, inputs]: a constant on the left is that already, and a vector is a layer of one output
    is_vector = tensor.dim() == 1
    stack = stack.unsqueeze(0) if is_vector else stack if on_left else stack.transpose(-2, -1)
    result = _product(rewriter, x, stack, path) if stack.dim() == 2 else _products(rewriter, x, stack, path)
    if is_vector:
        result = rewriter.call(aten.squeeze.dim, result, -1)
    elif turned:
        result = rewriter.call(aten.transpose.int, result, -2, -1)
    rewriter.replace_with(result)


def _without_ones(tensor: Tensor) -> Tensor:
    """A tensor without leading sizes of one, which only broadcast."""
    while tensor.dim() > 2 and tensor.shape[0] == 1:
        tensor = tensor[0]
    return tensor


def _is_stack_of(x: fx.Node, stack: Tensor) -> bool:
    """True if x has one matrix for each of the stack, or one for all."""
    shape = shape_of(x) or ()
    return len(shape) >= 3 and shape[-3] in (1, stack.shape[0]) and stack.shape[0] <= MOST_MATRICES


def _product(rewriter: Rewriter, x: fx.Node, matrix: Tensor, path: str) -> fx.Node:
    return rewriter.call(aten.linear.default, x, rewriter.constant(path, matrix))


def _products(rewriter: Rewriter, x: fx.Node, stack: Tensor, path: str) -> fx.Node:
    shared = (shape_of(x) or ())[-3] == 1
    single = rewriter.call(aten.select.int, x, -3, 0) if shared else None
    base = path.removesuffix(".weight")
    results = []
    for place, matrix in enumerate(stack):
        part = single if single is not None else rewriter.call(aten.select.int, x, -3, place)
        constant = rewriter.constant(f"{base}_{place}.weight", matrix, (path,))
        results.append(rewriter.call(aten.linear.default, part, constant))
    return rewriter.call(aten.stack.default, results, -3)


def _join_bias(network: Network, node: fx.Node) -> None:
    """Replace linear(x, W) + b by linear(x, W, b), if nothing else uses the product."""
    left, right, alpha = arguments_of(node).values()
    for product, bias in ((left, right), (right, left)):
        vector = network.tensor(bias)
        if alpha != 1 or vector is None or not isinstance(product, fx.Node) or len(product.users) > 1:
            continue
        if product.target != aten.linear.default:
            continue
        arguments = arguments_of(product)
        weight = network.tensor(arguments["weight"])
        if (
            arguments["bias"] is not None
            or weight is None
            or vector.numel() != weight.shape[0]
            or vector.shape[-1:] != weight.shape[:1]
        ):
            continue
        if vector.dim() > len(shape_of(product) or ()) or vector.dtype != weight.dtype:
            continue
        flat = Rewriter(network, product).constant(str(bias.target), vector.reshape(-1))
        product.args, product.kwargs = (arguments["input"], arguments["weight"], flat), {}
        network.replace(node, product)
        return
