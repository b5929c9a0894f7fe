"""Scaling of weights to the devices' range: γ stays digital, w/γ is programmed."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tilewright.targets.devices.elementary import square_root


def weight_scale(
    weight: Tensor,
    column_splits: list[int],
    rule: Literal["per_column", "per_tile"] = "per_column",
    clip_deviations: float | None = None,
) -> Tensor:
    """Scale γ_i = max_j |w_ij| over the rows of one row-block, of each column or tile (Spoon 2021; Rasch 2023).

    weight: [columns, rows] -> [columns]. column_splits: columns of each tile. clip_deviations: γ is at most so many
    times the root mean square of what shares it. It is 0 where there are only zeros: nothing of what is read there
    counts, so the noise of silent devices is not taken for whole units of the model.
    """
    # in float64, where the order of a sum, which is the processor's, does not reach the float32 result
    power = weight.double().square().mean(dim=1).float() if clip_deviations is not None else None
    return scale_of(weight.abs().amax(dim=1), power, column_splits, rule, clip_deviations)


def scale_of(
    scale: Tensor,
    power: Tensor | None,
    column_splits: list[int],
    rule: Literal["per_column", "per_tile"],
    clip_deviations: float | None,
) -> Tensor:
    """``weight_scale`` of columns with these largest sizes and, for a clip, mean squares: both [columns]."""
    if rule == "per_tile":
        scale = _over_tiles(scale, column_splits, "max")
        power = _over_tiles(power, column_splits, "mean") if power is not None else None
    if power is not None and clip_deviations is not None:
        limit = square_root(power) * clip_deviations
        scale = torch.where(limit > 0, torch.minimum(scale, limit), scale)
    return scale


def normalise(weight: Tensor, scale: Tensor) -> Tensor:
    """Normalised weights w/γ, clipped to [-1, 1]. weight: [columns, rows], scale: [columns]."""
    return (weight / divisor(scale).unsqueeze(1)).clamp_(-1.0, 1.0)


def divisor(scale: Tensor) -> Tensor:
    """Divisor of the weights: the scale [columns], and 1 where it is 0 and all weights are."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _over_tiles(values: Tensor, column_splits: list[int], how: Literal["max", "mean"]) -> Tensor:
    """One value a tile, repeated over its columns."""
    parts = values.split(column_splits)
    return torch.cat([(part.max() if how == "max" else part.mean()).expand(len(part)) for part in parts])
