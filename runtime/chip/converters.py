"""Digital-to-analog and analog-to-digital conversion of one tile (Rasch 2023), straight or not quite."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.targets.spec import Converter

FINE = 256
"""Parts of a DAC's step in which bent levels and offsets are written: whole numbers keep sums exact."""

CUBIC_PEAK = 2 / 27**0.5
"""The largest u (1 - u²) between 0 and 1, at u = 1/√3."""


def to_levels(values: Tensor, input_range: float | Tensor, dac: Converter) -> Tensor:
    """The whole steps that the DAC puts on the rows: round(x/α · levels/b), clipped to ±levels.

    input_range: α, a number or one a vector [M, 1]. Returns int8 for converters up to 8 bits, int32 above. Multiply
    with ``dac.step`` for the analog value.
    """
    levels = dac.levels
    steps = (values * (1.0 / (input_range * dac.step))).round_().clamp_(-levels, levels)
    return steps.to(torch.int8 if levels <= 127 else torch.int32)


def bend(fraction: Tensor, converter: Converter) -> Tensor:
    """The curve of a converter, for fractions of its bound in [-1, 1]: u + c u (1 - u²), right at 0 and at both ends.

    c is such that the largest deviation is the converter's ``nonlinearity``.
    """
    strength = bend_strength(converter)
    return fraction + strength * fraction * (1 - fraction * fraction) if strength else fraction


def bend_strength(converter: Converter) -> float:
    """Strength c of a converter's curve, 0 of a straight one."""
    return (converter.nonlinearity or 0.0) / converter.levels / CUBIC_PEAK


def bent_levels(levels: Tensor, dac: Converter) -> Tensor:
    """Output of a bent DAC for these levels, in whole ``step / FINE``: int32."""
    every = torch.arange(-dac.levels, dac.levels + 1, dtype=torch.float64) / dac.levels
    curve = (bend(every, dac) * (dac.levels * FINE)).round_().to(torch.int32)
    return curve[levels.to(torch.int64) + dac.levels]


def read_out(currents: Tensor, adc: Converter | None, offset: Tensor | None = None) -> Tensor:
    """Reading of an ADC, q(z) = clip(LSB · round(z / LSB), ±b), in place; without an ADC the currents themselves.

    offset: what each column's converter adds [columns], in LSB.
    """
    if adc is None:
        return currents
    levels = adc.levels
    steps = currents.mul_(1.0 / adc.step)
    if adc.nonlinearity:
        steps.copy_(bend(steps.clamp_(-levels, levels).div_(levels), adc)).mul_(levels)
    if offset is not None:
        steps.add_(offset)
    return steps.round_().clamp_(-levels, levels).mul_(adc.step)
