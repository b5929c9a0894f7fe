"""Noise of the weights for one pass of training, in normalised conductance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels import laws as kernel
from tilewright.targets.devices import DeviceStatistics, statistics_of
from tilewright.targets.spec import AnalogTarget, IdealDevice
from tilewright.targets.spec.recipe import AdditiveNoise, DeviceNoise, MultiplicativeNoise, PolynomialNoise, Recipe

Name = tuple[object, ...]


def weight_noise(recipe: Recipe, target: AnalogTarget) -> Callable[[Tensor, float, Draws, Name], Tensor]:
    """Function that makes noisy weights of normalised ones [columns, rows], in place or anew.

    Its arguments: the weights, the share of the recipe's strength that is imposed, the draws of the pass, and the name
    of the matrix. Writes are the target's own, by ``targets.devices``; ``strength`` multiplies their deviation.
    """
    noise, dropped = recipe.weight_noise, float(recipe.dropped_weights)
    statistics = _Scaled.of(target) if isinstance(noise, DeviceNoise) else None

    def noisy(weights: Tensor, share: float, draws: Draws, name: Name) -> Tensor:
        made = weights
        if noise is not None and share > 0 and noise.strength > 0:
            strength = float(noise.strength) * share
            if statistics is not None:
                made = statistics.written(weights, strength, draws, name)
            else:
                assert not isinstance(noise, DeviceNoise)
                normal = draws.normal(weights.shape, *name, "weight noise").to(weights.device)
                made = weights + normal.mul_(_deviation(noise, weights, strength))
        if dropped and share > 0:
            kept = draws.uniform(weights.shape, *name, "dropped weights").to(weights.device) >= dropped
            made = made * kept
        return made

    return noisy


def _deviation(
    noise: AdditiveNoise | PolynomialNoise | MultiplicativeNoise, weights: Tensor, strength: float
) -> Tensor | float:
    """Deviation of the noise of each weight."""
    if isinstance(noise, AdditiveNoise):
        return strength
    sizes = weights.abs()
    if isinstance(noise, MultiplicativeNoise):
        return sizes.mul_(strength)
    curve = (sizes * noise.quadratic).add_(noise.linear).mul_(sizes).add_(noise.constant)
    return curve.mul_(strength).clamp_(min=0.0)


class _Scaled:
    """Writes of the target's devices, whose deviation may be multiplied."""

    def __init__(self, statistics: DeviceStatistics) -> None:
        self.statistics = statistics

    @classmethod
    def of(cls, target: AnalogTarget) -> _Scaled | None:
        """Writes of a target's devices; None if these hold exactly what they are given."""
        return None if isinstance(target.device, IdealDevice) else cls(statistics_of(target.device))

    def written(self, weights: Tensor, strength: float, draws: Draws, name: Name) -> Tensor:
        """Weights [columns, rows] after a write of one device each: sign(w) · max(0, |w| + N(0, σ(|w|))).

        A weight of zero is silent unless the target writes both devices of a pair.
        """
        sizes, laws = weights.abs(), self.statistics.laws
        silent = not self.statistics.writes_zero
        if laws is not None and kernel.takes(self.statistics, sizes):
            louder = _WithLaws(self.statistics, replace(laws, write_unit=laws.write_unit * strength))
            made = kernel.written(sizes.unsqueeze(0), silent, louder, draws, name)[0]
        else:
            normal = draws.normal(weights.shape, *name, "programming").to(weights.device)
            made = self.statistics.programming_deviation(sizes).mul_(strength).mul_(normal).add_(sizes).clamp_(min=0.0)
            made = made.mul_(sizes > 0) if silent else made
        return made.copysign_(weights)


class _WithLaws(DeviceStatistics):
    """Statistics of another device with other laws of a write."""

    def __init__(self, of: DeviceStatistics, laws: object) -> None:
        self.deterministic, self.writes_zero, self.laws = of.deterministic, of.writes_zero, laws  # type: ignore[assignment]
