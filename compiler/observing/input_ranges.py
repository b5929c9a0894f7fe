"""Input ranges of layers on tiles and on digital units, from sample inputs, by least simulated error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.network.layers import WeightLayer
from tilewright.compiler.observing.observation import KEPT_ROWS, Observed
from tilewright.compiler.observing.output_error import output_error
from tilewright.compiler.observing.range_candidates import range_candidates, range_decision, rounding_error
from tilewright.compiler.observing.simulation import some_columns
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming import normalise, weight_scale
from tilewright.runtime.chip.tile import TileRow
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.records import UseOption
from tilewright.runtime.plan.splitting import split_columns, split_rows
from tilewright.targets.errors import InputError
from tilewright.targets.spec import AnalogTarget, DigitalTarget, DynamicRange, bits_of
from tilewright.targets.spec.tile import PercentileRange, StaticRange

FACTORS = (0.15, 0.25, 0.35, 0.5, 0.75, 1.5, 2.0, 3.0)
"""Multiples of the maximum to try as ranges on tiles. A narrower range clips outliers and lifts all else above the
noise of the converters; a wider one drives the rows less, so that large sums clip less in the ADC.
"""
MOST_COLUMNS = 2048
"""Largest number of a layer's columns that ranges are tried on, evenly spaced; columns are alike in law."""


@dataclass(frozen=True)
class LayerRanges:
    """Ranges of a layer's uses on one target, the decisions for them, and inputs kept for affine compensation."""

    uses: list[UseOption]
    decisions: list[Decision]
    calibration: Tensor | None = None
    """Calibration inputs [vectors, inputs], in parts of the range."""


def require_finite(name: str, seen: Sequence[Observed]) -> None:
    """Raise ``InputError`` for inputs that no range can hold."""
    for observed in seen:
        if not math.isfinite(observed.largest):
            raise InputError(
                f"the inputs of {name!r} reach {observed.largest} on the calibration inputs: no range holds them"
            )


@torch.inference_mode()
def tile_ranges(
    layer: WeightLayer,
    weight: Tensor,
    target: AnalogTarget,
    observed: list[Observed],
    *,
    clip_deviations: float | None,
    channel_scale: Tensor | None,
) -> LayerRanges:
    """Ranges of a layer on tiles. weight: [outputs, inputs]; observed: inputs of each use."""
    weight = some_columns(weight, MOST_COLUMNS)
    if channel_scale is not None:
        weight, observed = weight * channel_scale, [seen.divided_by(channel_scale) for seen in observed]
    rule = target.tile.input_range
    simulation = RangeSimulation(weight, target, clip_deviations) if rule.rule == "least_error" else None
    uses, decisions = [], []
    for use, seen in enumerate(observed):
        number = use if layer.uses > 1 else None
        if isinstance(rule, DynamicRange):
            uses.append(UseOption(input_range=None, largest_input=seen.largest, simulated_error=None))
            decisions.append(_own_range(layer.name, target, number))
            continue
        candidates = range_candidates(seen)
        if simulation is not None:
            candidates |= {f"{factor:g} x abs-max": seen.largest * factor for factor in FACTORS if seen.largest > 0}
            errors = dict(zip(candidates, simulation.errors(seen.kept, list(candidates.values())), strict=True))
            best = min(errors, key=lambda name: errors[name])
        else:
            candidates, best, errors = _by_rule(rule, seen), rule.rule, {}
        uses.append(_use(candidates[best], seen, errors.get(best)))
        decisions.append(range_decision(layer.name, "input range", best, candidates, errors, number))
    kept = _kept(uses, observed) if target.drift_compensation == "affine" else None
    return LayerRanges(uses, decisions, kept)


@torch.inference_mode()
def unit_ranges(layer: WeightLayer, unit: DigitalTarget, observed: list[Observed]) -> LayerRanges:
    """Ranges of a digital unit's inputs, by least rounding error; floating point has none."""
    if bits_of(unit.inputs) is None:
        return LayerRanges([_use(None, seen, None) for seen in observed], [])
    uses, decisions = [], []
    for use, seen in enumerate(observed):
        candidates = range_candidates(seen)
        errors = {name: rounding_error(seen.kept, value, unit.inputs) for name, value in candidates.items()}
        best = min(errors, key=lambda name: errors[name])
        uses.append(_use(candidates[best], seen, errors[best]))
        number = use if layer.uses > 1 else None
        decisions.append(range_decision(layer.name, "input range", best, candidates, errors, number))
    return LayerRanges(uses, decisions)


def _use(input_range: float | None, seen: Observed, error: float | None) -> UseOption:
    return UseOption(input_range=input_range, largest_input=seen.largest, simulated_error=error)


def _by_rule(rule: StaticRange | PercentileRange, seen: Observed) -> dict[str, float]:
    """The range that a target's rule asks for, by name."""
    if isinstance(rule, StaticRange) or seen.largest == 0:
        return {rule.rule: seen.largest or 1.0}
    percentile = float(np.percentile(seen.kept.abs().numpy(), float(rule.percentile)))
    return {rule.rule: percentile or seen.largest}


def _own_range(subject: str, target: AnalogTarget, use: int | None) -> Decision:
    return Decision(
        made_by="calibrate",
        subject=subject,
        use=use,
        choice="input range: each input vector's own",
        reason=f"{target.name} finds a range for each vector while it runs",
        figures=[Figure(name="readings at most", value=1 + (target.tile.doublings or 0), unit="reading")],
    )


def _kept(uses: list[UseOption], observed: list[Observed]) -> Tensor | None:
    """Inputs as the DACs see them [vectors, inputs], of all uses alike, to fit factor and offset at each time."""
    each = max(1, KEPT_ROWS // len(observed))
    parts = [seen.kept[:: -(-len(seen.kept) // each)] / (use.input_range or 1.0)
             for seen, use in zip(observed, uses, strict=True) if len(seen.kept)]  # fmt: skip
    return torch.cat(parts) if parts else None


class RangeSimulation:
    """Simulation of one layer on tiles with exact weights: converters and output noise alone, at an input range."""

    def __init__(self, weight: Tensor, target: AnalogTarget, clip_deviations: float | None) -> None:
        """Put a layer's weight [outputs, inputs] on tiles."""
        self.row_splits = split_rows(weight.shape[1], target.tile)
        column_splits = split_columns(weight.shape[0], target.tile)
        self.weight = weight
        self.rows, self.scales = [], []
        for part in weight.split(self.row_splits, dim=1):
            self.scales.append(weight_scale(part, column_splits, target.tile.weight_scale, clip_deviations))
            self.rows.append(TileRow(normalise(part, self.scales[-1]), target))

    def errors(self, x: Tensor, input_ranges: list[float]) -> list[float]:
        """Output error of the products with ``x`` [samples, inputs] at each range; the noise is the same at all."""
        exact = x @ self.weight.T
        sums = [torch.zeros_like(exact) for _ in input_ranges]
        parts = x.split(self.row_splits, dim=1)
        for index, (row, scale, part) in enumerate(zip(self.rows, self.scales, parts, strict=True)):
            normal = Draws(0, 0).normal(exact.shape, "calibrate", index) if row.is_noisy else None
            for total, input_range in zip(sums, input_ranges, strict=True):
                total.add_(row.multiply(part, input_range, normal) * (scale * input_range))
        return [output_error(outputs, exact) for outputs in sums]
