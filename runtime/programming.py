"""From weights to conductances: scale, split into pairs, write with noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.runtime.draws import Draws
from tilewright.targets.devices import DeviceStatistics


@dataclass(frozen=True)
class Pairs:
    """Devices that together hold signed weights: w = Σ_p signs[p] · conductances[p].

    conductances: [P, columns, rows], normalised 0..1. signs: broadcastable to it. Where the inactive device of a pair
    adds nothing, P = 1 and the sign is the weight's; otherwise P = 2, the plus and the minus device.
    """

    signs: Tensor
    conductances: Tensor

    def weights(self, conductances: Tensor | None = None) -> Tensor:
        """The weights [columns, rows] that these (or the given) conductances make."""
        held = self.conductances if conductances is None else conductances
        return (self.signs * held).sum(dim=0)


def column_scale(weight: Tensor) -> Tensor:
    """γ_i = max_j |w_ij| over the rows of one row-block (Spoon 2021; Rasch 2023). weight: [columns, rows] -> [columns].

    A column of zeros gets 1, so that it can be divided by.
    """
    scale = weight.abs().amax(dim=1)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def to_pairs(normalised: Tensor, statistics: DeviceStatistics) -> Pairs:
    """The target conductances of weights in [-1, 1]: g⁺ = max(w, 0), g⁻ = max(-w, 0). normalised: [columns, rows]."""
    if statistics.writes_zero:
        conductances = torch.stack([normalised.clamp(min=0), (-normalised).clamp(min=0)])
        return Pairs(torch.tensor([1.0, -1.0]).view(2, 1, 1), conductances)
    return Pairs(normalised.sign().unsqueeze(0), normalised.abs().unsqueeze(0))


def write(pairs: Pairs, statistics: DeviceStatistics, draws: Draws, *name: object) -> Tensor:
    """One direct write of each device: g_prog = max(0, g + N(0, σ(g))) (Joshi 2020). Returns [P, columns, rows]."""
    if statistics.deterministic:
        return pairs.conductances
    programmed = statistics.programming_deviation(pairs.conductances)
    programmed.mul_(draws.normal(pairs.conductances.shape, *name, "programming"))
    return programmed.add_(pairs.conductances).clamp_(min=0.0)
