"""NaN and infinity stay what they are: a converter or unit would make an ordinary number of either.

Inputs that hold one are multiplied as the model multiplies them, and only these: what a sample reads must not depend on
the samples beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tilewright.runtime.chip.kernels import values as kernel


def all_finite(values: Tensor) -> bool:
    """True if no value is NaN or infinite. Without kernels a sum tells; where it overflows, each value is asked."""
    found = kernel.all_finite(values)
    if found is not None:
        return found
    return math.isfinite(float(values.sum())) or bool(values.isfinite().all())


def rows_apart(values: Tensor, on_chip: Callable[[Tensor], Tensor], in_model: Callable[[Tensor], Tensor]) -> Tensor:
    """``on_chip(values)``, but ``in_model`` of the rows that hold a NaN or infinity. values: [M, in] -> [M, out].

    For the chip these rows are zeros, which change no other row.
    """
    if all_finite(values):
        return on_chip(values)
    apart = ~values.isfinite().all(dim=1)
    outputs = on_chip(values.masked_fill(apart.unsqueeze(1), 0.0))
    outputs[apart] = in_model(values[apart])
    return outputs


def products_apart(left: Tensor, right: Tensor, on_unit: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``on_unit(left, right)``, but ``left @ right`` for entries whose row or column holds a NaN or infinity.

    left: [..., m, k], right: [..., k, n] -> [..., m, n].
    """
    if all_finite(left) and all_finite(right):
        return on_unit(left, right)
    apart = torch.matmul(left * 0, right * 0).isnan()  # zero times what is not finite is NaN, and so is any sum with it
    on_chip = on_unit(left.nan_to_num(0.0, 0.0, 0.0), right.nan_to_num(0.0, 0.0, 0.0))
    return torch.where(apart, torch.matmul(left, right), on_chip)
