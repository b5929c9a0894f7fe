"""Stuck devices, which cannot be written: columns are put where they harm least, and other devices make up for them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.targets.spec import Programming, StuckDevices

MOST_COLUMNS = 2048
"""Columns of a tile that are looked at to avoid stuck devices, where fewer are used."""


def with_stuck_devices(
    cells: Cells,
    normalised: Tensor,
    rates: StuckDevices,
    method: Programming,
    column_splits: list[int],
    tile_columns: int,
    draws: Draws,
    *name: object,
) -> Cells:
    """The cells with stuck devices among them, and what the method does about these. Needs both devices of each pair.

    normalised: the weights [columns, rows]. column_splits: columns used of each tile, each of ``tile_columns``.
    """
    masks, values = [], []
    for tile, (wanted, used) in enumerate(zip(cells.wanted.split(column_splits, dim=1), column_splits, strict=True)):
        places_looked_at = min(tile_columns, max(used, MOST_COLUMNS)) if method.avoids_stuck_devices else used
        shape = (len(cells.wanted), places_looked_at, normalised.shape[1])
        uniform = draws.uniform(shape, *name, "stuck", tile)
        at_maximum = uniform >= 1 - rates.at_maximum
        stuck = at_maximum | (uniform < rates.at_zero)
        if method.avoids_stuck_devices:
            power = cells.significances.square()
            places = least_harmful_columns(wanted, stuck, at_maximum, power, method.compensates_stuck_devices)
        else:
            places = torch.arange(used)
        masks.append(stuck[:, places])
        values.append(at_maximum[:, places].to(wanted.dtype))
    stuck_cells = replace(cells, stuck=torch.cat(masks, dim=1), stuck_at=torch.cat(values, dim=1))
    return compensated(stuck_cells, normalised) if method.compensates_stuck_devices else stuck_cells


def least_harmful_columns(
    wanted: Tensor, stuck: Tensor, at_maximum: Tensor, power: Tensor, compensated: bool
) -> Tensor:
    """The physical column of each column that makes Σ s² (stuck - wanted)² least: an assignment, solved exactly.

    wanted: [P, used, rows], plus and minus devices in turn; stuck, at_maximum: [P, columns of the tile, rows]; power:
    s² [P]. compensated: the other device of its pair makes up for what is stuck at the largest conductance, as long as
    it does not hold the weight itself.
    """
    harm = torch.zeros(wanted.shape[1], stuck.shape[1], dtype=torch.float64)
    for device in range(len(wanted)):
        target = wanted[device].double()
        zero = (stuck[device] & ~at_maximum[device]).double()
        cost = target.square() @ zero.T
        left = wanted[device ^ 1].double() if compensated else 1 - target
        cost += left.square() @ at_maximum[device].double().T
        harm += cost * float(power[device])
    from scipy.optimize import linear_sum_assignment  # takes a second to load

    _, places = linear_sum_assignment(harm.numpy())
    return torch.from_numpy(places)


def compensated(cells: Cells, normalised: Tensor) -> Cells:
    """Cells whose healthy devices make up for stuck ones: all on one side of a weight share what is missing alike."""
    assert cells.stuck is not None and cells.stuck_at is not None
    power = (cells.signs * cells.significances.view(-1, 1, 1)).expand_as(cells.stuck_at)
    missing = normalised - (power * cells.stuck_at * cells.stuck).sum(dim=0)
    healthy = power * ~cells.stuck
    reach_up, reach_down = healthy.clamp(min=0).sum(dim=0), (-healthy).clamp(min=0).sum(dim=0)
    up = (missing / reach_up.clamp(min=1e-9)).clamp(0.0, 1.0)
    down = (-missing / reach_down.clamp(min=1e-9)).clamp(0.0, 1.0)
    affected = cells.stuck.any(dim=0)
    share = torch.where(cells.signs > 0, up, down)
    return replace(cells, wanted=torch.where(affected & ~cells.stuck, share, cells.wanted))
