"""How weights are scaled to the devices' range: γ stays digital, w/γ is programmed."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def weight_scale(
    weight: Tensor,
    column_splits: list[int],
    rule: Literal["per_column", "per_tile"] = "per_column",
    clip_deviations: float | None = None,
) -> Tensor:
    """γ_i = max_j |w_ij| over the rows of one row-block, a column or a tile (Spoon 2021; Rasch 2023).

    weight: [columns, rows] -> [columns]. column_splits: columns of each tile. clip_deviations: γ is at most so many
    times the root mean square of what shares it. Zeros get 1, so that they can be divided by.
    """
    scale = weight.abs().amax(dim=1)
    power = weight.square().mean(dim=1) if clip_deviations is not None else None
    if rule == "per_tile":
        scale = _over_tiles(scale, column_splits, "max")
        power = _over_tiles(power, column_splits, "mean") if power is not None else None
    if power is not None and clip_deviations is not None:
        scale = torch.minimum(scale, power.sqrt() * clip_deviations)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def normalise(weight: Tensor, scale: Tensor) -> Tensor:
    """w/γ, clipped to [-1, 1]. weight: [columns, rows], scale: [columns]."""
    return (weight / scale.unsqueeze(1)).clamp_(-1.0, 1.0)


def _over_tiles(values: Tensor, column_splits: list[int], how: Literal["max", "mean"]) -> Tensor:
    """One value a tile, repeated over its columns."""
    parts = values.split(column_splits)
    return torch.cat([(part.max() if how == "max" else part.mean()).expand(len(part)) for part in parts])
