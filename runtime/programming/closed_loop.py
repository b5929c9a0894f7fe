"""Closed-loop programming: gradient descent on what the tile itself reads.

After a first write the tile is read, through its noise and converters, and the conductances are corrected with pulses;
again and again (GDP: Büchel et al. 2022; with one-hot inputs: tGDP of the FTJ thesis). The pulses are as coarse,
asymmetric and uneven as the device's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.runtime.draws import Draws
from tilewright.runtime.programming.cells import Cells
from tilewright.runtime.programming.writing import with_stuck
from tilewright.runtime.tile import TileRow
from tilewright.targets.spec import AnalogTarget, ClosedLoop, Pulse


def refine(
    cells: Cells,
    programmed: Tensor,
    wanted: Tensor,
    loop: ClosedLoop,
    target: AnalogTarget,
    pulse: Pulse,
    draws: Draws,
    *name: object,
) -> Tensor:
    """Conductances [P, columns, rows] that read closer to the weights ``wanted`` [columns, rows].

    The step falls from the learning rate to zero: first the errors of the write go, then readings are averaged.
    """
    conductances = programmed.clone()
    count = int(loop.iterations)
    for iteration in range(count):
        label = (*name, "closed loop", iteration)
        weights = cells.weights(conductances)
        magnitudes = cells.read_magnitudes(conductances)
        row = TileRow(weights, target, magnitudes, cells.significance_power)
        if loop.inputs == "one_hot":
            normal = draws.normal(weights.shape, *label, "read")
            error = row.read_one_hot(weights, normal, magnitudes).sub_(wanted)
        else:
            error = _gradient(row, wanted, int(loop.vectors), draws, *label)
        change = error.mul_(-loop.learning_rate * (1 - iteration / count))
        _apply(conductances, cells, change, pulse, draws, *label)
        conductances = with_stuck(cells, conductances)
    return conductances


def _gradient(row: TileRow, wanted: Tensor, vectors: int, draws: Draws, *name: object) -> Tensor:
    """The error of each weight as ``vectors`` random inputs show it: (y - x Wᵀ)ᵀ x / Σ x², x uniform in ±1."""
    shape = (vectors, wanted.shape[1])
    inputs = torch.empty(shape).uniform_(-1.0, 1.0, generator=draws.generator(*name, "inputs"))
    inputs = inputs.mul_(127).round_()  # whole numbers: their products with readings are the same bits everywhere
    noise = draws.normal((vectors, wanted.shape[0]), *name, "read") if row.is_noisy else None
    drive = inputs.double().div_(127)
    wrong = row.multiply(inputs, 127.0, noise).double().sub_(drive @ wanted.double().T)
    return (wrong.T @ drive).div_(drive.square().sum(dim=0)).to(torch.float32)


def _apply(conductances: Tensor, cells: Cells, change: Tensor, pulse: Pulse, draws: Draws, *name: object) -> None:
    """Pulses to every pair alike: the plus device up, or the minus device down, whichever holds the weight."""
    pulses = (change / pulse.step).round_()
    if not bool(pulses.any()):
        return
    for device in range(len(conductances)):
        sign = cells.signs[device if len(cells.signs) > 1 else 0].expand_as(change)
        wanted = pulses * sign  # pulses of this device, up where above zero
        if cells.devices_per_pair == 2:
            other = conductances[device ^ 1]
            wanted = wanted.where((conductances[device] > other) | ((conductances[device] == other) & (wanted > 0)), 0)
        rate = torch.where(wanted > 0, 1 + pulse.asymmetry, 1 - pulse.asymmetry)
        step = wanted * rate * pulse.step
        if pulse.spread:
            noise = draws.normal(change.shape, *name, "pulse", device)
            step = noise.mul_(wanted.abs().sqrt_()).mul_(pulse.spread * pulse.step).add_(step)
        before = conductances[device]
        conductances[device] = torch.minimum((before + step).clamp_(min=0.0), before.clamp(min=1.0))
