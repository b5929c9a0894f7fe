"""Digital-to-analog and analog-to-digital conversion of one tile (Rasch 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.targets.spec import Converter


def to_levels(values: Tensor, input_range: float, dac: Converter) -> Tensor:
    """The whole steps that the DAC puts on the rows: round(x/α · levels/b), clipped to ±levels.

    Returns int8 for converters up to 8 bits, int32 above. Multiply with ``dac.step`` for the analog value.
    """
    levels = dac.levels
    steps = (values * (1.0 / (input_range * dac.step))).round_().clamp_(-levels, levels)
    return steps.to(torch.int8 if levels <= 127 else torch.int32)


def read_out(currents: Tensor, adc: Converter | None) -> Tensor:
    """q(z) = clip(LSB · round(z / LSB), ±b), in place; without an ADC the currents themselves."""
    if adc is None:
        return currents
    return currents.mul_(1.0 / adc.step).round_().clamp_(-adc.levels, adc.levels).mul_(adc.step)
