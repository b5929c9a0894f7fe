"""Products of some vectors alone, as an operator of a graph that is lowered: those that a router sends to an expert."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from tilewright.runtime.chip.chosen_rows import read_chosen


@torch.library.custom_op("tilewright::chosen_linear", mutates_args=())
def _chosen_linear(x: Tensor, weight: Tensor, bias: Tensor | None, chosen: Tensor) -> Tensor:
    """``linear`` of the chosen vectors of x [..., in]; zeros for the others."""
    return read_chosen(x, chosen, len(weight), lambda values, _: linear(values, weight, bias))


@_chosen_linear.register_fake
def _shape(x: Tensor, weight: Tensor, bias: Tensor | None, chosen: Tensor) -> Tensor:  # noqa: ARG001 (as the operator)
    return x.new_empty(*x.shape[:-1], weight.shape[0])


CHOSEN_LINEAR = torch.ops.tilewright.chosen_linear.default
"""Function of x [..., in], a weight [out, in], a bias [out] or None, and booleans [...] that choose vectors."""
