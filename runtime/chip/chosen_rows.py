"""Layers that read some of their input's vectors alone: those that a router sends to an expert."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tilewright.targets.errors import InputError


def read_chosen(x: Tensor, chosen: Tensor, outputs: int, read: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Outputs [..., outputs] of the chosen vectors of x [..., in]; zeros for the others.

    chosen: booleans [...]. read: given the chosen vectors [n, in] and their numbers [n], outputs [n, outputs]. Raises
    ``InputError`` where chosen is not of the vectors' shape.
    """
    if chosen.shape != x.shape[:-1]:
        raise InputError(f"vectors of shape {list(x.shape[:-1])} are chosen by {list(chosen.shape)} booleans")
    rows = chosen.reshape(-1).nonzero().squeeze(1)
    values = x.reshape(-1, x.shape[-1])
    made = x.new_zeros(len(values), outputs)
    if len(rows):
        made[rows] = read(values[rows], rows)
    return made.view(*x.shape[:-1], outputs)
