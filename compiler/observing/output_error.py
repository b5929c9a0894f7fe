"""Error of a layer's outputs, judged token by token."""

from __future__ import annotations

from torch import Tensor


def output_error(outputs: Tensor, exact: Tensor) -> float:
    """Root mean square over samples of ||y_t - ŷ_t|| / ||y_t||; both [samples, columns].

    Networks normalise each token by its own size, so each counts alike. One norm over all would be the error of the
    largest: in trained transformers one token's outputs can be forty times the others', and a range that is best for it
    drowns them in the noise of the converters. Samples whose output is zero are left out.
    """
    size = exact.square().sum(dim=1)
    alive = size > 0
    if not bool(alive.any()):
        return 0.0
    wrong = (outputs - exact).square().sum(dim=1)
    return float((wrong[alive] / size[alive]).mean().sqrt())
