"""What is taken apart when a traced program becomes a graph.

Scaled dot-product attention becomes two matmuls with a softmax between, so that each gets its own digital unit; einsum
becomes the products that torch computes it with.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


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
) -> Tensor:
    """softmax(Q Kᵀ · scale + mask) V, as torch.nn.functional documents it; dropout is nothing in eval mode.

    query: [..., heads, queries, width]; key, value: [..., heads, keys, width]. With ``enable_gqa`` keys and values
    have fewer heads, each serving a group of queries. A query whose mask hides every key gives zeros.
    """
    if enable_gqa:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query, key.transpose(-1, -2)) * factor
    if is_causal:
        queries = torch.arange(query.shape[-2], device=query.device).unsqueeze(1)
        attn_mask = torch.arange(key.shape[-2], device=query.device) <= queries
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(attn_mask.logical_not(), float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    return torch.matmul(torch.ops.aten._safe_softmax.default(scores, -1), value)


def einsum(equation: str, operands: list[Tensor], *, path: list[int] | None = None) -> Any:
    """As permutations and products of two, the way torch itself computes it, so that products can be found."""
    operator = torch.ops.aten.einsum.default
    return operator._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, equation, operands, path=path)


DECOMPOSITIONS = {
    torch.ops.aten.scaled_dot_product_attention.default: scaled_dot_product_attention,
    torch.ops.aten.einsum.default: einsum,
}
"""What is taken apart when a traced program becomes a graph; every other operator stays as it was traced."""
