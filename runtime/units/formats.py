"""Number formats of digital units: values rounded to them, and the whole numbers that stand for values."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.runtime.chip.kernels import values as kernel
from tilewright.targets.spec import bits_of

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def largest_step(bits: int, *, signed: bool = True) -> int:
    """The largest whole number of so many bits, symmetric around zero if it has a sign."""
    return int(2 ** (bits - 1) - 1 if signed else 2**bits - 1)


def to_steps(values: Tensor, value_range: float | Tensor, bits: int, *, signed: bool = True) -> Tensor:
    """Whole numbers up to ``largest_step``, as float32: round(x / range · largest)."""
    largest = largest_step(bits, signed=signed)
    return whole_steps(values, largest / value_range, -largest if signed else 0, largest)


def whole_steps(values: Tensor, factor: float | Tensor, least: int, most: int) -> Tensor:
    """Whole steps round(values · factor), clipped to [least, most], as float32."""
    made = kernel.whole_steps(values, factor, least, most)
    return made if made is not None else (values * factor).round_().clamp_(least, most)


def rounded(values: Tensor, number_format: str, value_range: float | Tensor, *, signed: bool = True) -> Tensor:
    """The values as a unit of that format holds them; floating point always has a sign."""
    bits = bits_of(number_format)
    if bits is None:
        dtype = DTYPES[number_format]
        largest = torch.finfo(dtype).max  # a unit saturates, it does not overflow
        return values.clamp(-largest, largest).to(dtype).to(torch.float32)
    return to_steps(values, value_range, bits, signed=signed).mul_(value_range / largest_step(bits, signed=signed))
