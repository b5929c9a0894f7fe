"""Closed-loop programming: gradient descent on what the tile itself reads.

After a first write the tile is read, through its noise and converters, and the conductances are corrected with pulses;
again and again (GDP: Büchel et al. 2022; with one-hot inputs: tGDP of the FTJ thesis). The pulses are as coarse,
asymmetric and uneven as the device's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.runtime.chip.arithmetic import EXACT, Drive, Matrix
from tilewright.runtime.chip.arithmetic.integer_product import integer_product
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.runtime.chip.programming.writing import with_stuck
from tilewright.runtime.chip.tile import TileRow
from tilewright.targets.devices.elementary import square_root
from tilewright.targets.spec import AnalogTarget, ClosedLoop, Pulse

LARGEST_INPUT = 127.0
"""Largest random input: all are whole numbers."""
WRONG_STEP, DIGIT = 2.0**-9, 128
"""Step in which a reading's error is written down, and the base of its two digits."""


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
    grid = EXACT.matrix(wanted)
    for iteration in range(count):
        label = (*name, "closed loop", iteration)
        weights = cells.weights(conductances)
        magnitudes = cells.read_magnitudes(conductances)
        row = TileRow(weights, target, magnitudes, cells.significance_power)
        if loop.inputs == "one_hot":
            normal = draws.normal(weights.shape, *label, "read")
            error = row.read_one_hot(weights, normal, magnitudes).sub_(wanted)
        else:
            error = _gradient(row, grid, wanted.shape, int(loop.vectors), draws, *label)
        change = error.mul_(-loop.learning_rate * (1 - iteration / count))
        _apply(conductances, cells, change, pulse, draws, *label)
        conductances = with_stuck(cells, conductances)
    return conductances


def _gradient(row: TileRow, wanted: Matrix, shape: torch.Size, vectors: int, draws: Draws, *name: object) -> Tensor:
    """The error of each weight as ``vectors`` random inputs show it: (y - x Wᵀ)ᵀ x / Σ x², x uniform in ±1.

    Inputs are whole numbers, and what is wrong is written in 2^-9: sums are exact, and the same bits everywhere.
    """
    columns, rows = shape
    inputs = draws.uniform((vectors, rows), *name, "inputs").mul_(2.0).sub_(1.0)
    drive = inputs.mul_(LARGEST_INPUT).round_().to(torch.int8)
    noise = draws.normal((vectors, columns), *name, "read") if row.is_noisy else None
    wrong = row.multiply(inputs, LARGEST_INPUT, noise).sub_(wanted.product(Drive(drive, 1 / LARGEST_INPUT)))
    steps = wrong.mul_(1 / WRONG_STEP).round_().clamp_(-127 * DIGIT, 127 * DIGIT)
    high = (steps / DIGIT).round_()
    low = steps.sub_(high, alpha=DIGIT)
    transposed = drive.T.contiguous()
    total = integer_product(high.T.contiguous().to(torch.int8), transposed).double().mul_(DIGIT)
    total += integer_product(low.T.contiguous().to(torch.int8), transposed)
    power = drive.to(torch.int32).square().sum(dim=0).clamp(min=1)
    return total.mul_(WRONG_STEP * LARGEST_INPUT).div_(power).to(torch.float32)


def _apply(conductances: Tensor, cells: Cells, change: Tensor, pulse: Pulse, draws: Draws, *name: object) -> None:
    """Give pulses to every pair alike: the plus device up, or the minus device down, whichever holds the weight."""
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
            step = noise.mul_(square_root(wanted.abs())).mul_(pulse.spread * pulse.step).add_(step)
        before = conductances[device]
        conductances[device] = torch.minimum((before + step).clamp_(min=0.0), before.clamp(min=1.0))
