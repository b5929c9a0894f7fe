"""Noise of the weights for one pass of training, in normalised conductance."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels import laws as kernel
from tilewright.targets.devices import DeviceStatistics, statistics_of
from tilewright.targets.devices.statistics import Laws
from tilewright.targets.spec import AnalogTarget, IdealDevice
from tilewright.targets.spec.recipe import AdditiveNoise, DeviceNoise, MultiplicativeNoise, PolynomialNoise, Recipe

Name = tuple[object, ...]


@dataclass(frozen=True)
class WeightNoiseLaw:
    """Law by which noisy weights are made of normalised ones [columns, rows].

    noise: None for none. statistics: of the target's devices, whose writes are the target's own; ``strength`` of the
    noise multiplies their deviation. dropped: probability that a weight is zero.
    """

    noise: AdditiveNoise | DeviceNoise | MultiplicativeNoise | PolynomialNoise | None
    statistics: DeviceStatistics
    dropped: float

    def __call__(self, weights: Tensor, share: float, draws: Draws, name: Name) -> Tensor:
        """Noisy weights; these themselves where nothing is imposed.

        share: of the noise's strength. draws: of the pass. name: of the matrix.
        """
        made, noise = weights, self.noise
        if noise is not None and share > 0 and noise.strength > 0:
            strength = float(noise.strength) * share
            if isinstance(noise, DeviceNoise):
                made = _written(weights, self.statistics, strength, draws, name)
            else:
                normal = draws.normal(weights.shape, *name, "weight noise").to(weights.device)
                made = weights + normal.mul_(_deviation(noise, weights, strength))
        if self.dropped and share > 0:
            kept = draws.uniform(weights.shape, *name, "dropped weights").to(weights.device) >= self.dropped
            made = made * kept
        return made


def weight_noise(recipe: Recipe, target: AnalogTarget) -> WeightNoiseLaw:
    """Law of a recipe's weight noise on a target; of an exact device's own there is none."""
    noise = recipe.weight_noise
    if isinstance(noise, DeviceNoise) and isinstance(target.device, IdealDevice):
        noise = None
    return WeightNoiseLaw(noise, statistics_of(target.device), float(recipe.dropped_weights))


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


def _written(weights: Tensor, statistics: DeviceStatistics, strength: float, draws: Draws, name: Name) -> Tensor:
    """Weights [columns, rows] after a write of one device each: sign(w) · max(0, |w| + N(0, σ(|w|))).

    strength: factor of σ. A weight of zero is silent unless the target writes both devices of a pair.
    """
    sizes, laws = weights.abs(), statistics.laws
    if laws is not None and kernel.takes(statistics, sizes):
        louder = _Louder(statistics, replace(laws, write_unit=laws.write_unit * strength))
        made = kernel.written(sizes.unsqueeze(0), not statistics.writes_zero, louder, draws, name)[0]
        return made.copysign_(weights)
    normal = draws.normal(weights.shape, *name, "programming").to(weights.device)
    if laws is None:
        deviation = statistics.programming_deviation(sizes).mul_(strength)
    else:  # as the kernels multiply
        quadratic, linear, constant = laws.write
        deviation = (sizes * quadratic).add_(linear).mul_(sizes).add_(constant)
        deviation = deviation.mul_(laws.write_unit * strength).clamp_(min=0.0)
    made = deviation.mul_(normal).add_(sizes).clamp_(min=0.0)
    if not statistics.writes_zero:
        made = made.mul_(sizes > 0)
    return made.copysign_(weights)


class _Louder(DeviceStatistics):
    """Statistics of another device with louder writes."""

    def __init__(self, of: DeviceStatistics, laws: Laws) -> None:
        self.deterministic, self.writes_zero, self.laws = of.deterministic, of.writes_zero, laws
