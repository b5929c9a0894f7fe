"""Conditions of a training: what all prepared layers of one network share, and what of it changes from pass to pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tilewright.compiler.network.restorable import Restorable
from tilewright.compiler.training.weight_noise import weight_noise
from tilewright.runtime.chip.draws import Draws
from tilewright.targets.devices import statistics_of
from tilewright.targets.spec import AnalogTarget, Converter
from tilewright.targets.spec.recipe import Recipe

COUNTER = "counter"
"""Name of the part of a network's first prepared layer that counts passes."""


@dataclass
class Conditions:
    """Target, recipe and seed of a training; its progress; and the pass that runs.

    Noise is named by the seed, the number of the pass and the layer, so the same seed trains the same bits whatever the
    threads. ``progress``: share of the training that is done, from 0 to 1, which the ramp of the noise follows; 1 where
    nobody tells it.
    """

    target: AnalogTarget
    recipe: Recipe
    seed: int
    passes: int = 0
    """Number of training passes that have begun."""
    progress: float = 1.0
    draws: Draws = field(init=False)

    def __post_init__(self) -> None:
        self.noisy = weight_noise(self.recipe, self.target)
        self.statistics = statistics_of(self.target.device)
        self.draws = Draws(self.seed, 0)

    @property
    def dac(self) -> Converter | None:
        """The target's DAC, if converters are imposed."""
        return self.target.tile.dac if self.recipe.converters else None

    @property
    def adc(self) -> Converter | None:
        """The target's ADC, if converters are imposed."""
        return self.target.tile.adc if self.recipe.converters else None

    @property
    def share(self) -> float:
        """Share of the weight noise's strength, and of the drift, that is imposed now."""
        ramp = float(self.recipe.ramp)
        return min(1.0, self.progress / ramp) if ramp else 1.0

    @property
    def drift_logarithm(self) -> float:
        """Logarithm of time to whose drift weights are held now (``DeviceStatistics.drift_logarithm``); 0 for none."""
        if self.recipe.drift is None or not self.statistics.drifts:
            return 0.0
        return self.share * self.statistics.drift_logarithm(float(self.recipe.drift))

    @property
    def output_deviation(self) -> float:
        """Deviation of the noise before the ADC, in units of the normalised sum."""
        tile, wanted = self.target.tile, self.recipe.output_noise
        if wanted is None:
            return tile.output_noise_deviation
        return float(wanted) * (tile.adc.step if wanted.unit == "LSB" and tile.adc else 1.0)

    @property
    def read_deviation(self) -> float:
        """Deviation of the short-term read noise of a weight; 0 if it is not imposed."""
        return float(self.target.tile.short_term_read_noise) if self.recipe.read_noise else 0.0


class PassCounter(nn.Module, Restorable):
    """Counter of a network's training passes: each has another draw of all noise.

    It is a part of one prepared layer; a network's own parts may be called one after another, as Sequential does.
    ``passes`` [] is saved with the weights, so that a resumed training goes on with the same draws.
    """

    passes: Tensor

    def __init__(self, network: nn.Module, layer: nn.Module, conditions: Conditions) -> None:
        super().__init__()
        self.conditions = conditions
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        layer.add_module(COUNTER, self)
        self._layer = (layer,)  # not as a part
        self._hook = network.register_forward_pre_hook(self._begin)

    def _begin(self, network: nn.Module, _arguments: Any) -> None:
        if network.training and torch.is_grad_enabled():
            self.passes.add_(1)
        self.conditions.passes = int(self.passes)
        self.conditions.draws = Draws(self.conditions.seed, self.conditions.passes)

    def restore(self) -> None:
        """Leave the layer, and count no more."""
        self._layer[0]._modules.pop(COUNTER, None)
        self._hook.remove()
