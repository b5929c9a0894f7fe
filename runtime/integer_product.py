"""Products of integer vectors and integer matrices that are exact, and therefore the same bits everywhere.

After its DAC a tile's input is a vector of whole numbers. With the conductances on a fine grid the analog sum is a sum
of integers: no order of summation, batch size, thread count or processor can change it. Eight-bit products are also
several times faster than float32 ones where the processor has instructions for them.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

EXACT_IN_FLOAT32 = 2**24


def integer_product(vectors: Tensor, matrix: Tensor) -> Tensor:
    """``vectors @ matrix.T`` without rounding.

    vectors: [M, K] of int8, or of int32 for converters above 8 bits; matrix: [N, K] of int8.
    Returns [M, N]: int32, or float64 holding whole numbers.
    """
    if vectors.dtype != torch.int8:
        return vectors.double() @ matrix.double().T
    if not eight_bit_products_are_exact():
        longest_exact = EXACT_IN_FLOAT32 // (128 * 128)
        dtype = torch.float32 if vectors.shape[1] <= longest_exact else torch.float64
        return (vectors.to(dtype) @ matrix.to(dtype).T).to(torch.int32)
    if vectors.shape[1] == 1:  # torch._int_mm misreads the strides of a single row
        return vectors.to(torch.int32) * matrix.to(torch.int32).T
    return torch._int_mm(vectors, matrix.T)


def two_digit_product(high: tuple[Tensor, Tensor], low: tuple[Tensor, Tensor], base: int) -> Tensor:
    """``base · (high vectors @ matrix.T) + (low vectors @ matrix.T)`` as float32, rounded once.

    high, low: (vectors, matrix) as of ``integer_product``; base: a power of two. The sum is made of whole numbers where
    32 bits hold it, which gives the same float32 and is faster.
    """
    upper, lower = integer_product(*high), integer_product(*low)
    if upper.dtype == torch.int32 and high[0].shape[1] * 128 * 128 * (base + 1) < 2**31:
        return upper.mul_(base).add_(lower).to(torch.float32)
    return upper.to(torch.float32).mul_(base).add_(lower)


@cache
def eight_bit_products_are_exact() -> bool:
    """Whether this processor's int8 product keeps extreme sums; some instruction sets saturate at 16 bits."""
    vectors = torch.full((4, 512), 127, dtype=torch.int8)
    vectors[1::2] = -127
    matrix = torch.full((16, 512), 127, dtype=torch.int8)
    matrix[1::2] = -128
    try:
        product = torch._int_mm(vectors, matrix.T)
    except (RuntimeError, AttributeError):
        return False
    return bool((product.long() == vectors.long() @ matrix.long().T).all())
