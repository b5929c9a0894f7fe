"""Channel scales that a plan moved into its weights, found again beside the model's own."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.runtime.plan.names import channel_scale_key, weight_key
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.errors import InputError

TOLERANCE = 1e-3
"""Largest relative difference between a plan's weights and the model's with the scales that were found."""
SMALLEST = 1e-12
"""Weights below this, relative to the largest, say nothing of a scale."""


@torch.no_grad()
def channel_scale_of(plan: Plan, layer: LayerRecord, matrix: Tensor) -> Tensor | None:
    """Number a channel [inputs] by which the plan divides a layer's inputs; None without one.

    matrix: the layer's weights in the model [outputs, inputs]. A plan whose scale was folded has inputs that are
    divided already and weights that are multiplied; batch norms and scales of the layer behind change whole columns.
    Raises ``InputError`` if the plan's weights are not the model's, or the two changes cannot be told apart.
    """
    held = plan.tensors[weight_key(layer.name)].float()
    kept = plan.tensors[channel_scale_key(layer.name)] if layer.option.has_channel_scale else None
    if held.shape != matrix.shape:
        raise InputError(
            f"layer {layer.name!r} of the plan is {list(held.shape)}, in the model {list(matrix.shape)}: it is a plan "
            "of another model"
        )
    if torch.equal(held, matrix):
        return kept
    by_column, by_row = _factors(held, matrix)
    if not torch.allclose(
        matrix * by_column.unsqueeze(1) * by_row, held, rtol=TOLERANCE, atol=TOLERANCE * float(held.abs().max())
    ):
        raise InputError(
            f"the weights of layer {layer.name!r} are not those of the plan: take the model that the plan was "
            "compiled from"
        )
    column_varies, row_varies = _varies(by_column), _varies(by_row)
    if column_varies and row_varies:
        raise InputError(
            f"the plan of layer {layer.name!r} scales its inputs and its outputs, which its weights alone cannot tell "
            "apart: give the target instead of the plan"
        )
    if not row_varies:
        return kept
    folded = by_row * by_column[0]
    return folded if kept is None else folded * kept


def _factors(held: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of columns [outputs] and rows [inputs] whose product is nearest to held / matrix."""
    known = matrix.abs() > SMALLEST * matrix.abs().max()
    logarithms = torch.where(known, (held / torch.where(known, matrix, torch.ones_like(matrix))).abs().log(), torch.nan)
    logarithms[~logarithms.isfinite()] = torch.nan
    first = logarithms.nanmedian(dim=1).values.nan_to_num(0.0)
    by_row = (logarithms - first.unsqueeze(1)).nanmedian(dim=0).values.nan_to_num(0.0)
    by_column = (logarithms - by_row).nanmedian(dim=1).values.nan_to_num(0.0)
    return by_column.exp(), by_row.exp()


def _varies(factors: Tensor) -> bool:
    return bool((factors.max() - factors.min()) > TOLERANCE * factors.abs().max())
