"""Normal numbers of random bits, in whole numbers alone: sums of table entries that nibbles name.

A byte names ``LOW[low nibble] + HIGH[high nibble]``. Two bytes make a coarse number, c = 57 b₀ + 56 b₁, and two of
those a fine one, f = 89 c₀ + 83 c₁. Tables and factors were searched for: their moments are near a normal law's, and no
value is frequent. The laws are known exactly, since all 2¹⁶ or 2³² cases can be counted (tests/runtime/chip):

| law | bits | 4th, 6th, 8th moment (3, 15, 105) | Kolmogorov distance | P(abs z > 3), > 4 (.00270, 6.33e-5) | largest |
| --- | ---: | ---: | ---: | ---: | ---: |
| coarse | 16 | 3.0010, 14.847, 100.88 | .00125 | .00269, 3.05e-5 | 4.27 |
| fine | 32 | 3.0005, 14.965, 103.96 | .00017 | .00269, 5.69e-5 | 6.04 |

Coarse numbers are for the noise of reads, which an ADC rounds; fine ones for all that a device is.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

LOW = (1, 5, 6, 13, 24, 24, 31, 53)
HIGH = (6, 7, 10, 16, 18, 21, 26, 53)
"""Sizes that the lower three bits of a low and a high nibble name; the fourth bit is the sign."""
BYTES = (57, 56)
"""Factors of a coarse number's bytes, least significant first."""
HALVES = (89, 83)
"""Factors of a fine number's coarse halves, least significant first."""
COARSE_UNIT = 3.5676212e-4
"""One over the root mean square of 57 b₀ + 56 b₁ over all bits, 7,856,742.5^-½, in float32."""
FINE_UNIT = 2.9315764e-6
"""One over the root mean square of 89 c₀ + 83 c₁ over all bits, in float32."""
COARSE_IN_BLOCK, FINE_IN_BLOCK = 8, 4
"""Numbers that the 128 bits of one counter make."""


@cache
def coarse_table() -> Tensor:
    """Coarse numbers of all 16 bits [65536], as int32, before their unit."""
    low, high = (torch.tensor([*sizes, *(-size for size in sizes)], dtype=torch.int32) for sizes in (LOW, HIGH))
    byte: Tensor = (low.unsqueeze(0) + high.unsqueeze(1)).flatten()
    table: Tensor = torch.add(byte.unsqueeze(0) * BYTES[0], byte.unsqueeze(1) * BYTES[1])
    return table.flatten()


def _halves(words: Tensor) -> Tensor:
    """Coarse numbers [..., 8] of the 16 bits of words [..., 4], lower half first."""
    halves = torch.stack((words & 0xFFFF, words >> 16), dim=-1).flatten(-2)
    return coarse_table().take(halves)


def coarse(words: Tensor) -> Tensor:
    """Normal float32 numbers [..., blocks · 8] of random words [..., blocks, 4], 16 bits each."""
    return _halves(words).flatten(-2).to(torch.float32).mul_(COARSE_UNIT)


def fine(words: Tensor) -> Tensor:
    """Normal float32 numbers [..., blocks · 4] of random words [..., blocks, 4], 32 bits each."""
    low, high = _halves(words).unflatten(-1, (-1, 2)).unbind(-1)
    numbers: Tensor = low * HALVES[0] + high * HALVES[1]
    return numbers.flatten(-2).to(torch.float32).mul_(FINE_UNIT)


def uniform(words: Tensor) -> Tensor:
    """Uniform float32 numbers in [0, 1), [..., blocks · 4], of the upper 24 bits of random words [..., blocks, 4]."""
    return (words >> 8).flatten(-2).to(torch.float32).mul_(2.0**-24)
