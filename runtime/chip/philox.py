"""Random bits from a key and a counter: Philox4x32 with seven rounds (Salmon et al. 2011, "Parallel random numbers: as
easy as 1, 2, 3"), the fewest that pass BigCrush.

There is no state: what lies at a position depends on that position and the key alone. So any block of a draw can be
made, in any order, on any processor, and all are whole numbers. This file is the specification of the C kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 7
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
MASK = 2**32 - 1

AT_ONCE = 2**14
"""Counters whose words are made at once: their intermediate numbers stay in a core's cache."""


def random_words(key: int, places: Tensor, blocks: int, first: int = 0) -> Tensor:
    """Random bits [places, blocks, 4] of int64 tensors, each in 0 .. 2³² - 1.

    key: 64 bits. places: the counter's last three words [places, 3]; its first is the block's, from ``first`` on.
    """
    words = torch.empty(len(places), blocks, 4, dtype=torch.int64)
    step = max(1, AT_ONCE // max(1, blocks))
    block = torch.arange(first, first + blocks).unsqueeze(0)
    for start in range(0, len(places), step):
        lines = slice(start, start + step)
        row, low, high = (places[lines, word : word + 1].expand(-1, blocks) for word in range(3))
        _rounds(key, [block.expand_as(row), row, low, high], words[lines])
    return words


def _rounds(key: int, counter: list[Tensor], out: Tensor) -> None:
    """Write the words of these counters to ``out`` [..., 4]. Products wrap at 64 bits, which keeps their halves."""
    x0, x1, x2, x3 = counter
    key_0, key_1 = key & MASK, key >> 32
    for _ in range(ROUNDS):
        first, second = x0 * MULTIPLIERS[0], x2 * MULTIPLIERS[1]
        x0 = (second >> 32).bitwise_and_(MASK).bitwise_xor_(x1).bitwise_xor_(key_0)
        x2 = (first >> 32).bitwise_and_(MASK).bitwise_xor_(x3).bitwise_xor_(key_1)
        x1, x3 = second.bitwise_and_(MASK), first.bitwise_and_(MASK)
        key_0, key_1 = (key_0 + WEYL[0]) & MASK, (key_1 + WEYL[1]) & MASK
    for place, word in enumerate((x0, x1, x2, x3)):
        out[..., place] = word
