"""Converters with gradients: what is rounded passes its gradient on, what is clipped does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tilewright.runtime.units.formats import whole_steps
from tilewright.targets.spec import Converter

RangeGradient = Callable[[Tensor, float], Tensor | None]
"""Gradient of an input range from its pull and the share of inputs within it; None if no optimiser is to have it."""


def _reaches(values: Tensor, size: float) -> bool:
    """True if any |value| reaches a size."""
    if not values.numel():
        return False
    lowest, highest = torch.aminmax(values)
    return bool(highest >= size) or bool(lowest <= -size)


class _Dac(Function):
    """Inputs in parts of their range, on the levels of a DAC."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, input_range: Tensor, dac: Converter | None, gradient: RangeGradient | None
    ) -> Tensor:
        inside = values.abs() < input_range
        if dac is None:
            made = (values / input_range).clamp_(-1.0, 1.0)
        else:
            factor = (
                1.0 / (float(input_range) * dac.step) if input_range.numel() == 1 else 1.0 / (input_range * dac.step)
            )
            made = whole_steps(values, factor, -dac.levels, dac.levels).mul_(dac.step)
        ctx.save_for_backward(inside, made, input_range)
        ctx.gradient = gradient
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor | None, ...]:
        inside, made, input_range = ctx.saved_tensors
        in_units = wanted / input_range  # ∂L/∂x, in units of the input
        pull = None
        if ctx.gradient is not None:
            outside = (~inside).flatten().nonzero().squeeze(1)
            covered = 1.0 - len(outside) / max(1, inside.numel())
            asked = (in_units.flatten()[outside] * made.flatten()[outside].sign()).clamp_(max=0.0).sum()
            pull = ctx.gradient(asked, covered)
        return in_units.mul_(inside), pull, None, None


def dac(values: Tensor, input_range: Tensor, converter: Converter | None, gradient: RangeGradient | None) -> Tensor:
    """Inputs [...] in parts of their range, rounded and clipped as the DAC does.

    input_range: a number [], or one a vector [..., 1]. Gradients pass within the range alone (straight through the
    rounding). gradient: asked in the backward pass for the gradient of the range, from its pull
    Σ_{x ≥ r} min(∂L/∂x, 0) - Σ_{x ≤ -r} max(∂L/∂x, 0), in which only gradients count that ask for a larger range
    (aihwkit ``InputRangeParameter``), and the share of inputs within it.
    """
    made: Tensor = _Dac.apply(values, input_range, converter, gradient)  # type: ignore[no-untyped-call]
    return made


class _Adc(Function):
    """Sums as an ADC reads them."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor, noise: Tensor | None, adc: Converter) -> Tensor:
        noisy = sums if noise is None else noise.add_(sums)  # large tensors cost most by the memory they take
        made = whole_steps(noisy, 1.0 / adc.step, -adc.levels, adc.levels)
        ctx.clips = _reaches(made, adc.levels)
        if ctx.clips:
            ctx.save_for_backward(noisy.abs() <= adc.bound)
        return made.mul_(adc.step)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor | None, ...]:
        return wanted * ctx.saved_tensors[0] if ctx.clips else wanted, None, None


def adc(sums: Tensor, noise: Tensor | None, converter: Converter | None) -> Tensor:
    """Sums with their noise as the ADC reads them: rounded and clipped, in units of the normalised sum.

    noise: of this read alone; its memory is used. Gradients pass straight through the rounding, and not where the ADC
    clips.
    """
    if converter is None:
        return sums if noise is None else sums + noise
    made: Tensor = _Adc.apply(sums, noise, converter)  # type: ignore[no-untyped-call]
    return made


class _Held(Function):
    """Weights in parts of their scale, with what noise makes of them."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, divisor: Tensor, channel_scale: Tensor | None, noisy: Callable[[Tensor], Tensor]
    ) -> Tensor:
        scaled = weight if channel_scale is None else weight * channel_scale
        normalised = scaled / divisor
        ctx.clips = _reaches(normalised, 1.0 + 1e-6)
        saved = [divisor, channel_scale, normalised.abs() <= 1.0 if ctx.clips else None]
        ctx.save_for_backward(*saved)
        return noisy(normalised.clamp_(-1.0, 1.0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor | None, ...]:
        divisor, channel_scale, inside = ctx.saved_tensors
        gradient = wanted / divisor
        if channel_scale is not None:
            gradient.mul_(channel_scale)
        return gradient.mul_(inside) if ctx.clips else gradient, None, None, None


def held_weights(
    weight: Tensor, divisor: Tensor, channel_scale: Tensor | None, noisy: Callable[[Tensor], Tensor]
) -> Tensor:
    """Weights [columns, rows] as tiles hold them: in parts of their scale, with noise.

    divisor: scale of each column [columns, 1], through which no gradient flows. channel_scale: factor of each row
    [rows]. noisy: given normalised weights in [-1, 1], what is held of them; its gradient is taken for that of the
    weights themselves.
    """
    made: Tensor = _Held.apply(weight, divisor, channel_scale, noisy)  # type: ignore[no-untyped-call]
    return made
