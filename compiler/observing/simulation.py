"""Simulation of one layer on tiles with every effect, by which steps compare candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tilewright.compiler.observing.observe import Case
from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import Use
from tilewright.runtime.plan.blocks import split_columns, split_rows
from tilewright.runtime.plan.decisions import Figure
from tilewright.targets.spec import AnalogTarget
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


def simulated_error(case: Case, draws: Draws, clip_deviations: float | None = None) -> float:
    """The output error over all uses a day after programming, with each use's largest |x| as its range.

    draws: of the chip, the same for all candidates. Closed loops are replaced by one write: they take time, and what
    they improve they improve for all candidates.
    """
    assert isinstance(case.target, AnalogTarget) and case.method is not None
    weight, tile = some_columns(case.weight, SIMULATED_COLUMNS), case.target.tile
    scaled = case.scaled_inputs
    ranges = [1.0 if tile.doublings is not None else observed.largest or 1.0 for observed in scaled]
    calibration = torch.cat([observed.kept / use for observed, use in zip(scaled, ranges, strict=True)])
    one_write = case.method.model_copy(update={"writing": Direct(kind="direct")})
    tiles = AnalogLinear(
        "simulated",
        SimulatedChip(case.target, draws),
        LayerTensors(weight, channel_scale=case.channel_scale, calibration=calibration),
        TileLayout(split_rows(weight.shape[1], tile), split_columns(weight.shape[0], tile), one_write, clip_deviations),
        [Use(input_range, None) for input_range in ranges],
        SIMULATED_TIME,
    )
    outputs = torch.cat([tiles(observed.kept, use) for use, observed in enumerate(case.inputs)])
    return output_error(outputs, torch.cat([observed.kept @ weight.T for observed in case.inputs]))


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


def error_figure(error: float) -> Figure:
    """Figure of a decision that compares candidates by their simulated error."""
    return Figure(name="simulated output error after a day", value=error, unit="1")


def some_columns(weight: Tensor, most: int) -> Tensor:
    """Up to so many columns [columns, inputs] of a layer, evenly spaced; all of them as they are if they are few."""
    if weight.shape[0] <= most:
        return weight
    return weight[torch.linspace(0, weight.shape[0] - 1, most).round().long()]
