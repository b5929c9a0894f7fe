"""Coding of weights in [-1, 1]: each is shared out over the pairs of devices that hold it."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.runtime.chip.programming.cells import Cells, pairs_to_cells
from tilewright.targets.spec import BinaryAnalog, MostLeast, Pairs, Programming


def cells_of(normalised: Tensor, method: Programming, both_devices: bool) -> Cells:
    """The devices of weights [columns, rows] in [-1, 1] and the conductances that the method asks of them.

    both_devices: True if the inactive device of a pair is there too (it is written, or it may be stuck).
    """
    coding = method.coding
    if isinstance(coding, Pairs):
        targets, significances = _pairs(normalised, coding)
    elif isinstance(coding, BinaryAnalog):
        targets, significances = _binary_analog(normalised, int(coding.binary))
    else:
        targets, significances = _most_least(normalised, coding)
    if method.states_per_device is not None:
        states = int(method.states_per_device)
        shared = all(target is targets[0] for target in targets)
        targets = [nearest_state(target, states) for target in (targets[:1] if shared else targets)]
        targets = targets * len(significances) if shared else targets
    return pairs_to_cells(targets, significances, both_devices)


def nearest_state(target: Tensor, states: int) -> Tensor:
    """Signed targets at evenly spaced conductances: 2 · states - 1 weights a pair (FTJ thesis: 16 and 31)."""
    return (target * (states - 1)).round_().div_(states - 1)


def _pairs(w: Tensor, coding: Pairs) -> tuple[list[Tensor], list[float]]:
    """Pairs with w = Σ s_k w_k / Σ s_k: all w_k = w, or filled in turn as by AIHWKit's NPairConductanceConverter."""
    total = sum(coding.significances)
    shares = [significance / total for significance in coding.significances]
    if coding.filling == "shared" or len(shares) == 1:
        return [w] * len(shares), shares
    targets, magnitude, lower = [], w.abs(), 0.0
    for share in shares:
        targets.append(((magnitude - lower) / share).clamp_(0.0, 1.0).mul_(w.sign()))
        lower += share
    return targets, shares


def _most_least(w: Tensor, coding: MostLeast) -> tuple[list[Tensor], list[float]]:
    """Two pairs with w = w_most + w_least / ratio; the second is empty until the first one was read."""
    return [w, torch.zeros_like(w)], [1.0, 1.0 / coding.ratio]


def _binary_analog(w: Tensor, binary: int) -> tuple[list[Tensor], list[float]]:
    """Binary pairs and an analog one, |w| = Σ_{k ≤ X} b_k 2^-k + 2^-X a (FTJ thesis): 1 is all ones and a = 1."""
    rest, sign, targets = w.abs(), w.sign(), []
    significances = [2.0**-place for place in range(1, binary + 1)]
    for significance in significances:
        bit = (rest >= significance).to(w.dtype)
        rest = rest - bit * significance
        targets.append(bit * sign)
    last = significances[-1]
    return [*targets, (rest / last).clamp_(max=1.0) * sign], [*significances, last]
