"""Products of integer vectors and integer matrices that are exact, and therefore the same bits everywhere.

After its DAC a tile's input is a vector of whole numbers. With the conductances on a fine grid the analog sum is a sum
of integers: no order of summation, batch size, thread count or processor can change it. They are made as int8 products
where the processor has instructions for these (several times faster than float32), else as float32 products of whole
numbers that float32 holds exactly: the same sums, so the same bits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

EXACT_IN_FLOAT32 = 2**24
LONGEST_EXACT = EXACT_IN_FLOAT32 // (128 * 128)
"""Largest number of products of int8 numbers whose sum float32 holds exactly."""
FORCED = "TILEWRIGHT_PRODUCTS"
"""The environment variable that forces int8 or float32 products: for tests, and to compare."""


def integer_product(vectors: Tensor, matrix: Tensor) -> Tensor:
    """Product ``vectors @ matrix.T`` without rounding.

    vectors: [M, K] of int8, or of int32 for converters above 8 bits; matrix: [N, K] of int8.
    Returns [M, N]: int32, or float64 holding whole numbers.
    """
    if vectors.dtype != torch.int8:
        return vectors.double() @ matrix.double().T
    if products_are_made_in() == "float32":
        return _in_floats(vectors, matrix)
    if vectors.shape[1] == 1:  # torch._int_mm misreads the strides of a single row
        return vectors.to(torch.int32) * matrix.to(torch.int32).T
    return torch._int_mm(vectors, matrix.T)


def two_digit_product(high: tuple[Tensor, Tensor], low: tuple[Tensor, Tensor], base: int) -> Tensor:
    """Sum ``base · (high vectors @ matrix.T) + (low vectors @ matrix.T)`` as float32, rounded once.

    high, low: (vectors, matrix) as of ``integer_product``; base: a power of two. The sum is made of whole numbers where
    32 bits hold it, which gives the same float32 and is faster.
    """
    upper, lower = integer_product(*high), integer_product(*low)
    if upper.dtype == torch.int32 and high[0].shape[1] * 128 * 128 * (base + 1) < 2**31:
        return upper.mul_(base).add_(lower).to(torch.float32)
    return upper.to(torch.float32).mul_(base).add_(lower)


def _in_floats(vectors: Tensor, matrix: Tensor) -> Tensor:
    """The product of int8 numbers [M, K] and [N, K] as one of floats that hold every sum on the way: int32 [M, N]."""
    dtype = torch.float32 if vectors.shape[1] <= LONGEST_EXACT else torch.float64
    return (vectors.to(dtype) @ matrix.to(dtype).T).to(torch.int32)


@cache
def products_are_made_in() -> str:
    """Format in which this process multiplies int8 numbers: int8 or float32. Both give the same bits.

    int8 where it is exact (some instruction sets saturate at 16 bits) and, timed once on a small product, faster:
    torch multiplies int8 numbers one by one where the processor has no instructions for it that oneDNN uses (VNNI).
    """
    forced = os.environ.get(FORCED)
    if forced in ("int8", "float32"):
        return forced
    if not _int8_is_exact():
        return "float32"
    vectors, matrix = torch.ones(64, 256, dtype=torch.int8), torch.ones(128, 256, dtype=torch.int8)
    in_int8 = _seconds(lambda: torch._int_mm(vectors, matrix.T))
    in_floats = _seconds(lambda: _in_floats(vectors, matrix))
    return "int8" if in_int8 < in_floats else "float32"


def _seconds(call: Callable[[], object], times: int = 5) -> float:
    """The least wall time of a call: the first sets things up, and another program may slow any one down."""
    least = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - started)
    return least


def _int8_is_exact() -> bool:
    """True if this processor's int8 product keeps extreme sums."""
    vectors = torch.full((4, 512), 127, dtype=torch.int8)
    vectors[1::2] = -127
    matrix = torch.full((16, 512), 127, dtype=torch.int8)
    matrix[1::2] = -128
    try:
        product = torch._int_mm(vectors, matrix.T)
    except (RuntimeError, AttributeError):
        return False
    return bool((product.long() == vectors.long() @ matrix.long().T).all())
