"""Layers and products in full precision: what the compiler's stages and the digital reference run."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.runtime.storage.memory_map import used


class DigitalLinear(nn.Module):
    """A layer in full precision."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Hold a weight [out, in] and a bias [out]."""
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        """Outputs [..., out] of inputs x [..., in]. The use does not matter without noise or ranges."""
        return functional.linear(x, used(self.weight), self.bias)


class DigitalMatmul(nn.Module):
    """A product of two activations in full precision."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Product [..., m, n] of left [..., m, k] and right [..., k, n]."""
        return torch.matmul(left, right)
