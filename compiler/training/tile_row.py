"""The tiles of one row-block with gradients: the law of ``runtime/chip/tile.py`` for a network that trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tilewright.compiler.training.conditions import Conditions
from tilewright.compiler.training.conversion import RangeGradient, adc, dac, held_weights
from tilewright.compiler.training.drift import kept_after
from tilewright.runtime.chip.programming.scaling import divisor, weight_scale
from tilewright.runtime.plan.blocks import split_columns

Product = Callable[[Tensor, Tensor], Tensor]
"""Sums of a row-block: of its inputs, in parts of their range, and weights [columns, rows]."""


@dataclass(frozen=True)
class TileRowInTraining:
    """One read of the tiles of a row-block, in the order of the hardware: DAC, sum, noise, ADC, digital scale."""

    conditions: Conditions
    name: tuple[object, ...]
    """Name of the row-block, which names its draws."""
    product: Product
    noisy: bool
    """True if noise is imposed: the layer trains."""
    clip_deviations: float | None = None

    def read(
        self,
        values: Tensor,
        weight: Tensor,
        channel_scale: Tensor | None,
        input_range: Tensor | None,
        gradient: RangeGradient | None,
        call: int,
        over_columns: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Outputs of the row-block in the model's units.

        values: its inputs, divided by the channel scale. weight: [columns, rows], of the model. input_range: [], or
        None where each vector has its own. gradient: see ``conversion.dac``. call: number of this call in the pass.
        over_columns: values [columns] in a shape that multiplies the outputs.
        """
        conditions, tile = self.conditions, self.conditions.target.tile
        with torch.no_grad():
            scaled = weight if channel_scale is None else weight * channel_scale
            splits = split_columns(len(weight), tile)
            gamma = weight_scale(scaled, splits, tile.weight_scale, self.clip_deviations)
            by = divisor(gamma).unsqueeze(1)
        held = held_weights(weight, by, channel_scale, self._held)
        kept = self._kept(held.detach())
        held = held if kept is None else held * kept
        if input_range is None:
            input_range = self._own_ranges(values.detach(), held.detach(), call)
        driven = dac(values, input_range, conditions.dac, gradient)
        if self.noisy and conditions.recipe.backward == "clean":
            clean = held_weights(weight, by, channel_scale, lambda weights: weights)
            clean = clean if kept is None else clean * kept
            sums = self.product(driven, clean) + self.product(driven.detach(), (held - clean).detach())
        else:
            sums = self.product(driven, held)
        outputs = adc(sums, self._noise(driven, held, sums, call), conditions.adc)
        if kept is not None and conditions.target.drift_compensation != "none":
            gamma = gamma / kept.flatten()
        return outputs * self._factor(gamma, input_range.detach(), over_columns)

    def _held(self, weights: Tensor) -> Tensor:
        conditions = self.conditions
        return conditions.noisy(weights, conditions.share, conditions.draws, self.name) if self.noisy else weights

    def _kept(self, held: Tensor) -> Tensor | None:
        """Part of the weights that drift leaves, of all or of each column; None where none is imposed."""
        conditions = self.conditions
        logarithm = conditions.drift_logarithm if self.noisy else 0.0
        return kept_after(logarithm, held, conditions.statistics, conditions.target) if logarithm else None

    def _factor(self, gamma: Tensor, input_range: Tensor, over_columns: Callable[[Tensor], Tensor]) -> Tensor:
        """Digital scale of each column, in the precision that the target keeps it in, times the range."""
        one = input_range.dim() == 0
        factor = gamma * input_range if one else gamma
        if self.conditions.recipe.converters and self.conditions.target.tile.scale_precision == "bfloat16":
            factor = factor.bfloat16().float()
        return over_columns(factor) if one else over_columns(factor) * input_range

    @torch.no_grad()
    def _own_ranges(self, values: Tensor, held: Tensor, call: int) -> Tensor:
        """Range of each vector [..., 1]: its largest |x|, doubled while an ADC saturates (Gokmen et al. 2017)."""
        ranges = values.abs().amax(dim=-1, keepdim=True)
        ranges = torch.where(ranges > 0, ranges, torch.ones_like(ranges))
        converter, conditions = self.conditions.adc, self.conditions
        doublings = conditions.target.tile.doublings or 0
        for _ in range(doublings if converter is not None else 0):
            assert converter is not None
            driven = dac(values, ranges, conditions.dac, None)
            sums = self.product(driven, held)
            noise = self._noise(driven, held, sums, call)
            sums = sums if noise is None else sums + noise
            saturated = (sums.abs() >= converter.bound - converter.step / 2).any(dim=-1, keepdim=True)
            if not bool(saturated.any()):
                break
            ranges = torch.where(saturated, ranges * 2, ranges)
        return ranges

    def _noise(self, driven: Tensor, held: Tensor, sums: Tensor, call: int) -> Tensor | None:
        """Output noise, and the short-term read noise if it is imposed, as one draw (Rasch 2023 Eq. 11)."""
        deviation, read = self.conditions.output_deviation, self.conditions.read_deviation
        if not self.noisy or not (deviation or read) or not sums.numel():
            return None
        places = torch.zeros(sums.numel() // sums.shape[-1], 3, dtype=torch.int64)
        places[:, 0] = torch.arange(len(places))
        normal = self.conditions.draws.read_noise(places, sums.shape[-1], *self.name, "outputs", call)
        normal = normal.view(sums.shape).to(sums.device)
        if not read:
            return normal.mul_(deviation)
        with torch.no_grad():
            follows = self.conditions.target.tile.read_noise_law == "conductance"
            power = self.product(driven.square(), held.abs() if follows else torch.ones_like(held))
            return normal.mul_(power.mul_(read**2).add_(deviation**2).sqrt_())


def range_gradient(
    learn: Callable[[Tensor, int, Tensor, float], Tensor | None], ranges: Tensor, block: int
) -> RangeGradient:
    """Gradient of one of several ranges, by a rule that is given the range, its number, the pull, and the cover."""
    return partial(learn, ranges[block].detach(), block)
