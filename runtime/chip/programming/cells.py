"""The devices that hold the weights of some tiles, and what was asked of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cells:
    """Devices that together hold weights: w = Σ_p signs[p] · significances[p] · g[p].

    wanted: the conductances asked for [P, columns, rows], normalised 0..1. signs: broadcastable to it.
    significances: [P]. Where the inactive device of a pair adds nothing there is one device a pair, with the sign of
    its weight; otherwise two, plus and minus, one after the other.
    """

    wanted: Tensor
    signs: Tensor
    significances: Tensor
    devices_per_pair: int
    stuck: Tensor | None = None
    """True for each device that cannot be written [P, columns, rows]; None if all can."""
    stuck_at: Tensor | None = None
    """Conductances of the devices that cannot be written [P, columns, rows]."""

    def weights(self, conductances: Tensor) -> Tensor:
        """The weights [columns, rows] that conductances [P, columns, rows] make."""
        if len(conductances) == 1:
            return self.signs[0] * conductances[0] * self.significances[0]
        return (self.signs * conductances * self.significances.view(-1, 1, 1)).sum(dim=0)

    def read_magnitudes(self, conductances: Tensor) -> Tensor | None:
        """Weights of the variance of the read noise, Σ_k s_k² |w_k| over the pairs k; None if these are |w|."""
        if len(conductances) == self.devices_per_pair:
            return None
        signed = self.signs * conductances
        pairs = signed.unflatten(0, (-1, self.devices_per_pair)).sum(dim=1).abs_()
        power = self.significances[:: self.devices_per_pair].square().view(-1, 1, 1)
        magnitudes: Tensor = (pairs * power).sum(dim=0)
        return magnitudes

    @property
    def significance_power(self) -> float:
        """Sum of squared significances, Σ_k s_k²: the variance of the pairs' sum, in parts of one pair's."""
        return float(self.significances[:: self.devices_per_pair].square().sum())

    def with_pair(self, pair: int, target: Tensor) -> Cells:
        """Cells with another signed target [columns, rows] for one pair."""
        first = pair * self.devices_per_pair
        wanted, signs = self.wanted.clone(), self.signs
        if self.devices_per_pair == 1:
            signs = signs.expand_as(wanted).clone()
            signs[first], wanted[first] = target.sign(), target.abs()
        else:
            wanted[first], wanted[first + 1] = target.clamp(min=0), (-target).clamp(min=0)
        return replace(self, wanted=wanted, signs=signs)


def pairs_to_cells(targets: list[Tensor], significances: list[float], both_devices: bool) -> Cells:
    """Cells of pairs with these signed targets, each [columns, rows] in [-1, 1]: g⁺ = max(w, 0), g⁻ = max(-w, 0)."""
    devices = 2 if both_devices else 1
    power = torch.tensor(significances, dtype=torch.float32).repeat_interleave(devices)
    if both_devices:
        wanted = torch.stack([part for w in targets for part in (w.clamp(min=0), (-w).clamp(min=0))])
        signs = torch.tensor([1.0, -1.0]).repeat(len(targets)).view(-1, 1, 1)
    elif len(targets) == 1 or all(target is targets[0] for target in targets):
        signs = targets[0].sign().unsqueeze(0)
        wanted = targets[0].abs().unsqueeze(0).expand(len(targets), -1, -1)
    else:
        stacked = torch.stack(targets)
        wanted, signs = stacked.abs(), stacked.sign()
    return Cells(wanted, signs, power, devices)
