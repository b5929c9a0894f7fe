"""Drift compensation in digital: a factor, or a factor and an offset, from readings of the tiles themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-30
"""Smallest divisor: quotients stay finite where there is nothing to divide by."""


@dataclass(frozen=True)
class Correction:
    """Correction of what the ADCs read, column by column: factor · y + offset, both [columns]; normalised units."""

    factor: Tensor
    offset: Tensor | None = None


def from_readings(reference: Tensor, reading: Tensor) -> Correction:
    """The factor of each column: its reference reading, right after programming, over the reading now (Joshi 2020).

    The readings are Σ|y| over one-hot inputs [columns]; those of a tile are alike where one factor serves all of it.
    """
    return Correction(torch.where(reading > 0, reference / reading, torch.ones_like(reading)))


def over_tiles(readings: Tensor, column_splits: list[int]) -> Tensor:
    """The sum of each tile's readings, at each of its columns [columns]."""
    return torch.cat([part.sum().expand(len(part)) for part in readings.split(column_splits)])


def fitted(read: Tensor, exact: Tensor, column_splits: list[int]) -> Correction:
    """Factor and offset of each column, from what was read and what should have been; both [vectors, columns].

    What was read is fitted as gain · exact + shift by least squares, and the correction undoes gain and shift: the
    noise is in the readings, and a fit the other way round would shrink outputs as readings get noisier. Each vector
    counts in proportion to 1 / ||exact||²: networks normalise each token by its own size.

    A column's fit is as uncertain as its readings, and an error of it, unlike noise, is the same for every token. So it
    is drawn towards what its tile has in common, the more the less it is known (empirical Bayes, Efron and Morris
    1975): gains towards the tile's, shifts towards none. Where what should have been read does not vary (weights that
    are zero, rows that no vector drives) nothing is known of a gain: such a column has its tile's, and counts for no
    other; a tile of such columns has 1, and a row-block of them is left as it is.
    """
    read, exact = read.double(), exact.double()
    size = exact.square().sum(dim=1, keepdim=True)
    count = torch.where(size > 0, 1 / size.clamp(min=TINY), torch.zeros_like(size))
    count = count / count.sum().clamp(min=TINY)
    read_mean, exact_mean = (count * read).sum(dim=0), (count * exact).sum(dim=0)
    wrong, varies = read - read_mean, exact - exact_mean
    squares = varies.square()
    power = (count * squares).sum(dim=0)
    known = power > TINY
    if not bool(known.any()):
        return Correction(torch.ones_like(power).float(), torch.zeros_like(power).float())
    power = power.clamp(min=TINY)
    gain = (count * varies).mul_(wrong).sum(dim=0) / power
    wrong = wrong.sub_(varies.mul_(gain)).square_()
    left = (count.square() * wrong).sum(dim=0)
    uncertainty = squares.mul_(count.square()).mul_(wrong).sum(dim=0) / power**2
    gain = _drawn_to_tile(gain, uncertainty, known, column_splits)
    shift = read_mean - gain * exact_mean
    shift = shift * _known_share(shift.square(), left)
    factor = torch.where(gain > 0, 1 / gain.clamp(min=TINY), torch.ones_like(gain))
    return Correction(factor.float(), (-factor * shift).float())


def _drawn_to_tile(gain: Tensor, uncertainty: Tensor, known: Tensor, column_splits: list[int]) -> Tensor:
    """Gains [columns] drawn towards the mean of their tile, where uncertain columns count less; 1 if none is known."""
    drawn = []
    parts = (values.split(column_splits) for values in (gain, uncertainty, known))
    for own, variance, counts in zip(*parts, strict=True):
        tile = torch.ones_like(own)
        if bool(counts.any()):
            gains, count = own[counts], 1 / variance[counts].clamp(min=TINY)
            common = (gains * count).sum() / count.sum()
            tile.copy_(common)
            tile[counts] = common + (gains - common) * _known_share((gains - common).square(), variance[counts])
        drawn.append(tile)
    return torch.cat(drawn)


def _known_share(squares: Tensor, variance: Tensor) -> Tensor:
    """Shrinkage τ² / (τ² + variance): τ² is what the squares have beyond the variance of their measurement."""
    spread = (squares.mean() - variance.mean()).clamp(min=0.0)
    return spread / (spread + variance).clamp(min=TINY)
