"""Logarithm, exponential and square root of float32 tensors, the same bits on every processor.

A library's take the processor's own instructions and differ in the last bit. These are the polynomials of Cephes
(Moshier 1989, logf and expf): additions and multiplications, each rounded, and whole numbers. Both are within two units
in the last place. The C kernels make the same bits (runtime/chip/kernels/source/elementary.h).
"""

from __future__ import annotations

import torch
from torch import Tensor

SQRT_HALF = 0.70710678118654752
LOGARITHM = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
"""Coefficients of (ln(1 + x) - x + x²/2) / x³ for x between √½ - 1 and √2 - 1, the highest power first."""
EXPONENTIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Coefficients of (e^x - 1 - x) / x² for x between -ln 2 / 2 and ln 2 / 2, the highest power first."""
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 in two parts: products of the first with whole numbers are exact."""
LOWEST, HIGHEST = -87.0, 88.0
"""Arguments of the exponential are clipped to these: beyond them float32 has no ordinary numbers."""


def logarithm(x: Tensor) -> Tensor:
    """Natural logarithm of float32 numbers from 1e-37 up; of numbers in another format torch's own."""
    if x.dtype != torch.float32:
        return x.log()
    bits = x.view(torch.int32)
    exponent = (bits >> 23) - 126
    part = ((bits & 0x007FFFFF) | 0x3F000000).view(torch.float32)  # x = part · 2^exponent, part in [½, 1)
    small = part < SQRT_HALF
    exponent = (exponent - small.to(torch.int32)).to(torch.float32)
    part = torch.where(small, part + part, part) - 1.0
    square = part * part
    made = _polynomial(LOGARITHM, part) * part * square
    made = made + exponent * LN2_LOW
    made = made - square * 0.5
    return part + made + exponent * LN2_HIGH


def exponential(x: Tensor) -> Tensor:
    """e^x of float32 numbers, of arguments within ``LOWEST`` and ``HIGHEST``; in another format torch's own."""
    if x.dtype != torch.float32:
        return x.exp()
    x = x.clamp(LOWEST, HIGHEST)
    power = (x * 1.44269504088896341).round()
    rest = x - power * LN2_HIGH
    rest = rest - power * LN2_LOW
    made = _polynomial(EXPONENTIAL, rest) * (rest * rest) + rest + 1.0
    return made * ((power.to(torch.int32) + 127) << 23).view(torch.float32)


def square_root(x: Tensor) -> Tensor:
    """Square root of float32 numbers, rounded correctly: one in five of torch's own is not, with MKL."""
    return x.double().sqrt().float() if x.dtype == torch.float32 else x.sqrt()


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """Value of a polynomial, by Horner's rule."""
    made = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        made = made.mul_(x).add_(coefficient)
    return made
