"""A layer on tiles that is there only while it is called: for plans that are larger than memory."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tilewright.runtime.chip.layers import AnalogLinear


class OnDemandLinear(nn.Module):
    """Programmed, advanced, read and dropped at each call. Draws have names, so it is the same layer every time."""

    def __init__(self, name: str, build: Callable[[], AnalogLinear]) -> None:
        """build: programs the layer."""
        super().__init__()
        self.name = name
        self._build, self.seconds = build, 0.0

    def advance_to(self, seconds: float) -> None:
        """Let the devices drift to ``seconds`` after programming, from the next call on."""
        self.seconds = seconds

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        """x: [..., in] -> [..., out]."""
        layer = self._build()
        if self.seconds:
            layer.advance_to(self.seconds)
        outputs: Tensor = layer(x, use)
        return outputs
