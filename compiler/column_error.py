"""How wrong a layer's outputs are, judged column by column."""

from __future__ import annotations

from torch import Tensor


def column_error(outputs: Tensor, exact: Tensor) -> float:
    """Root mean square over columns of ||y_i - ŷ_i|| / ||y_i||; both [samples, columns].

    One norm over all columns would be the error of the largest: in trained transformers a single output channel can be
    a thousand times the others, which carry the meaning. Columns that are zero throughout are left out.
    """
    size = exact.square().sum(dim=0)
    alive = size > 0
    if not bool(alive.any()):
        return 0.0
    wrong = (outputs - exact).square().sum(dim=0)
    return float((wrong[alive] / size[alive]).mean().sqrt())
