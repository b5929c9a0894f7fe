"""A layer on tiles that is there only while it is called: for plans that are larger than memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.runtime.chip.fixed_precision import FixedPrecision


class OnDemandLinear(FixedPrecision):
    """A layer on tiles that is programmed, advanced, read and dropped at each call.

    Draws have names, so it is the same layer every time. Source weights stay where the plan has them: of a module that
    was moved, layers are made there one by one.
    """

    place: Tensor
    """Tensor without numbers, which says where the module was moved."""

    def __init__(self, build: Callable[[float], AnalogLinear]) -> None:
        """Take the function that programs the layer and lets it drift to so many seconds after."""
        super().__init__()
        self._build, self.seconds = build, 0.0
        self.hold("place", torch.empty(0))

    def advance_to(self, seconds: float) -> None:
        """Let the devices drift to ``seconds`` after programming, from the next call on."""
        self.seconds = seconds

    def at(self, seconds: float) -> OnDemandLinear:
        """Another layer on demand over the same devices, at another time."""
        other = self.twin()
        other.seconds = seconds
        return other

    def forward(self, x: Tensor, use: int = 0, chosen: Tensor | None = None) -> Tensor:
        """Outputs [..., out] of inputs x [..., in]. chosen: vectors [...] that are read, all if None."""
        outputs: Tensor = self._build(self.seconds).to(self.place.device)(x, use, chosen)
        return outputs
