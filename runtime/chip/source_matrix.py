"""The matrix that a row-block is to hold, as the model has it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SourceMatrix:
    """Matrix in the model's units: weights [columns, rows], times the scale of each channel [rows] if there is one."""

    weight: Tensor
    """Weights [columns, rows], as the model has them: they may be mapped from a file, and are not copied."""
    channel_scale: Tensor | None = None

    def product(self) -> Tensor:
        """The matrix itself [columns, rows]."""
        return self.weight if self.channel_scale is None else self.weight * self.channel_scale
