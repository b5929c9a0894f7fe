"""Clipping of the weights of prepared layers after a step of the optimiser."""

from __future__ import annotations

import torch
from torch import nn

from tilewright.compiler.training.prepared import PreparedLayer
from tilewright.targets.spec.recipe import FixedClip, Recipe


@torch.no_grad()
def clip_weights(model: nn.Module, recipe: Recipe) -> None:
    """Clip the weights of every prepared layer by the recipe's rule, in place.

    Standard deviations are those before clipping: of a matrix, or of each column. The parts of one row-block are one
    matrix, as they are on tiles (AIHWKit clips tile by tile).
    """
    rule = recipe.weight_clipping
    if rule is None:
        return
    for part in model.modules():
        if not isinstance(part, PreparedLayer) or not part.weight.requires_grad:
            continue
        for block in part.matrix().split(part.row_splits, dim=1):
            if isinstance(rule, FixedClip):
                block.clamp_(-float(rule.value), float(rule.value))
                continue
            by_column = rule.rule == "column_deviations"
            deviation = block.std(dim=1, keepdim=True, correction=0) if by_column else block.std(correction=0)
            limit = deviation * float(rule.deviations)
            block.copy_(torch.minimum(torch.maximum(block, -limit), limit))
