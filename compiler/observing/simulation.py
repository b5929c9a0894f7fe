"""Simulation of one layer on tiles with every effect, by which steps compare candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.output_error import output_error
from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import Use
from tilewright.runtime.plan.decisions import Figure
from tilewright.runtime.plan.splitting import split_columns, split_rows
from tilewright.targets.spec import AnalogTarget, Programming
from tilewright.targets.spec.programming import Direct

SIMULATED_TIME = 86400.0
"""Seconds after programming at which candidates are compared: a day, midway between a second and a month in decades."""
SIMULATED_COLUMNS = 256
"""Columns of a layer that are simulated, evenly spaced; columns are alike in law."""


@dataclass(frozen=True)
class RememberedDraws(Draws):
    """Draws that are kept, for trials of one layer on one chip: drawing takes as long as all the rest."""

    drawn: dict[tuple[object, ...], Tensor] = field(default_factory=dict, compare=False)

    def normal(self, shape: Sequence[int] | torch.Size, *name: object) -> Tensor:
        """Standard normal float32 numbers of that shape; a copy, since they are worked on in place."""
        key = (tuple(shape), *name)
        if key not in self.drawn:
            self.drawn[key] = super().normal(shape, *name)
        return self.drawn[key].clone()


def simulated_error(
    target: AnalogTarget,
    method: Programming,
    weight: Tensor,
    seen: list[Observed],
    *,
    channel_scale: Tensor | None = None,
    clip_deviations: float | None = None,
    draws: Draws | None = None,
) -> float:
    """The output error over all uses a day after programming, with each use's largest |x| as its range.

    weight: [outputs, inputs]. draws: of the chip, the same for all candidates. Closed loops are replaced by one
    write: they take time, and what they improve they improve for all candidates.
    """
    weight = some_columns(weight, SIMULATED_COLUMNS)
    rows, columns = split_rows(weight.shape[1], target.tile), split_columns(weight.shape[0], target.tile)
    scaled = seen if channel_scale is None else [observed.divided_by(channel_scale) for observed in seen]
    ranges = [1.0 if target.tile.doublings is not None else observed.largest or 1.0 for observed in scaled]
    calibration = torch.cat([observed.kept / use for observed, use in zip(scaled, ranges, strict=True)])
    tiles = AnalogLinear(
        "simulated",
        SimulatedChip(target, draws or Draws(0, 0)),
        LayerTensors(weight, channel_scale=channel_scale, calibration=calibration),
        TileLayout(rows, columns, with_one_write(method), clip_deviations),
        [Use(input_range, None) for input_range in ranges],
    )
    tiles.advance_to(SIMULATED_TIME)
    outputs = torch.cat([tiles(observed.kept, use) for use, observed in enumerate(seen)])
    return output_error(outputs, torch.cat([observed.kept @ weight.T for observed in seen]))


def error_figure(error: float) -> Figure:
    """Figure of a decision that compares candidates by their simulated error."""
    return Figure(name="simulated output error after a day", value=error, unit="1")


def some_columns(weight: Tensor, most: int) -> Tensor:
    """Up to so many columns [columns, inputs] of a layer, evenly spaced; all of them as they are if they are few."""
    if weight.shape[0] <= most:
        return weight
    return weight[torch.linspace(0, weight.shape[0] - 1, most).round().long()]


def with_one_write(method: Programming) -> Programming:
    """A programming method without its closed loop."""
    return method.model_copy(update={"writing": Direct(kind="direct")})
