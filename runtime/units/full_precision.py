"""Layers and products in full precision: what the compiler's stages and the digital reference run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.runtime.chip.chosen_rows import read_chosen
from tilewright.runtime.storage.memory_map import used


class DigitalLinear(nn.Module):
    """A layer in full precision."""

    weight: Tensor
    bias: Tensor | None
    reads_all = False
    """True while all vectors are read, whatever is chosen."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Hold a weight [out, in] and a bias [out]."""
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor, use: int = 0, chosen: Tensor | None = None) -> Tensor:
        """Outputs [..., out] of inputs x [..., in]. The use does not matter without noise or ranges.

        chosen: vectors [...] that are read, all if None; see ``read_chosen``.
        """
        weight = used(self.weight)
        if chosen is None or self.reads_all:
            return functional.linear(x, weight, self.bias)
        return read_chosen(x, chosen, len(weight), lambda values, _: functional.linear(values, weight, self.bias))


@contextmanager
def reading_all(layers: Iterable[DigitalLinear]) -> Iterator[None]:
    """Let layers read all vectors, those too that are not chosen, while the ``with`` block runs."""
    changed = list(layers)
    for layer in changed:
        layer.reads_all = True
    try:
        yield
    finally:
        for layer in changed:
            del layer.reads_all


class DigitalMatmul(nn.Module):
    """A product of two activations in full precision."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Product [..., m, n] of left [..., m, k] and right [..., k, n]."""
        return torch.matmul(left, right)
