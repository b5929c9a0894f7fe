"""Decompositions of operators when a traced program becomes a graph.

Scaled dot-product attention becomes two matmuls with a softmax between, so that each gets its own digital unit; einsum,
tensordot and the like become the products of two that torch computes them with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    products: Sequence[Callable[[Tensor, Tensor], Tensor]] = (torch.matmul, torch.matmul),
    drops: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ · scale + mask) V, as torch.nn.functional documents it.

    query: [..., heads, queries, width]; key, value: [..., heads, keys, width]. With ``enable_gqa`` keys and values
    have fewer heads, each serving a group of queries. A query whose mask hides every key gives zeros. products: what
    multiplies for the scores and for the context. drops: False in evaluation, where dropout is nothing.
    """
    if enable_gqa:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = products[0](query, key.transpose(-1, -2)) * factor
    if is_causal:
        queries = torch.arange(query.shape[-2], device=query.device).unsqueeze(1)
        attn_mask = torch.arange(key.shape[-2], device=query.device) <= queries
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(attn_mask.logical_not(), float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    probabilities = torch.ops.aten._safe_softmax.default(scores, -1)
    if drops and dropout_p:
        probabilities = torch.dropout(probabilities, dropout_p, train=True)
    return products[1](probabilities, value)


def addmv(self: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """β · self + α · mat vec."""
    return _added(self, torch.mv(mat, vec), beta, alpha)


def addbmm(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """β · self + α · Σ over the batch of products."""
    return _added(self, torch.bmm(batch1, batch2).sum(dim=0), beta, alpha)


def copied(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:  # noqa: ARG001 (as the operator)
    """Numbers of another tensor in the shape and type of this one."""
    return src.to(self.dtype).expand(self.shape)


def _added(offset: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    product = product if alpha == 1 else product * alpha
    if beta == 0:  # torch ignores the offset then, even a NaN in it
        return product
    return product + (offset if beta == 1 else offset * beta)


aten = torch.ops.aten
COMPOSED = (
    aten.einsum.default, aten.tensordot.default, aten.inner.default, aten.outer.default, aten.ger.default,
    aten.linalg_matmul.default, aten.linalg_multi_dot.default, aten.linalg_vecdot.default, aten.chain_matmul.default,
    aten.matrix_power.default,
)  # fmt: skip
"""Operators that become the smaller ones that torch computes them with, so that products of two can be found."""
DECOMPOSITIONS: dict[OpOverload, Callable[..., Any]] = {
    aten.scaled_dot_product_attention.default: scaled_dot_product_attention,
    aten.addmv.default: addmv,
    aten.addbmm.default: addbmm,
    aten.new_empty.default: aten.new_zeros.default,
    aten.copy.default: copied,
    **{operator: partial(operator._op_dk, torch._C.DispatchKey.CompositeImplicitAutograd) for operator in COMPOSED},
}
"""Decompositions when a traced program becomes a graph; every other operator stays as it was traced."""
