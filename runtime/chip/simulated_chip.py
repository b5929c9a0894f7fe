"""One chip of a Monte-Carlo run, as the layers of one target see it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tilewright.runtime.chip.draws import Draws
from tilewright.targets.spec import AnalogTarget


@dataclass(frozen=True)
class SimulatedChip:
    """Common properties of all layers of one target on one chip."""

    target: AnalogTarget
    draws: Draws
    compensate: bool = True
    """Drift is compensated, if the target has a way to."""
    kept_as: torch.dtype = torch.float32
    """Number format that programmed conductances are kept in."""

    @property
    def compensation(self) -> str:
        """Kind of drift compensation: none, global, per_column or affine."""
        return self.target.drift_compensation if self.compensate else "none"
