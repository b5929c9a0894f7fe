"""Input ranges of layers on tiles and on digital units, from sample inputs, by least simulated error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.observing.observation import KEPT_ROWS, Observed
from tilewright.compiler.observing.observe import Case
from tilewright.compiler.observing.range_candidates import (
    Candidates,
    range_candidates,
    range_decision,
    rounding_candidates,
)
from tilewright.compiler.observing.simulation import output_error, some_columns
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming import normalise, weight_scale
from tilewright.runtime.chip.tile import TileRow
from tilewright.runtime.plan.blocks import split_columns, split_rows, split_text
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.records import LayerOption, UseOption
from tilewright.targets.spec import AnalogTarget, DigitalTarget, DynamicRange, Tile, bits_of
from tilewright.targets.spec.tile import PercentileRange, StaticRange

FACTORS = (0.15, 0.25, 0.35, 0.5, 0.75, 1.5, 2.0, 3.0)
"""Multiples of the maximum to try as ranges on tiles. A narrower range clips outliers and lifts all else above the
noise of the converters; a wider one drives the rows less, so that large sums clip less in the ADC.
"""
TRAINED = "the checkpoint's own"
"""Name of the range that a layer was trained with, among those that calibrating would try."""
MOST_COLUMNS = 2048
"""Largest number of a layer's columns that ranges are tried on, evenly spaced; columns are alike in law."""


@torch.inference_mode()
def input_ranges(case: Case, option: LayerOption) -> tuple[LayerOption, Tensor | None]:
    """The option with a range for each use; and inputs in parts of it [vectors, inputs], for an affine compensation."""
    candidates_at = _CANDIDATES[type(case.target)](case, option)
    uses, decisions = [], list(option.decisions)
    for use, seen in enumerate(case.scaled_inputs):
        number = use if case.layer.uses > 1 else None
        candidates, errors = candidates_at(seen)
        best = min(candidates, key=lambda name: errors.get(name, 0.0), default="")
        by_error = None if TRAINED in candidates else errors.get(best)
        if TRAINED in candidates:
            best = TRAINED
        uses.append(UseOption(input_range=candidates.get(best), largest_input=seen.largest, simulated_error=by_error))
        if best == TRAINED:
            decisions.append(_trained_range(case, candidates, errors, number))
        elif candidates:
            decisions.append(range_decision(case.layer.name, "input range", best, candidates, errors, number))
        elif case.target.tile is not None:
            decisions.append(_own_range(case, case.target.tile, number))
    is_affine = isinstance(case.target, AnalogTarget) and case.target.drift_compensation == "affine"
    kept = _kept(uses, case.scaled_inputs) if is_affine else None
    update = {
        "uses": uses,
        "decisions": decisions,
        "has_channel_scale": case.channel_scale is not None,
        "has_calibration": kept is not None,
    }
    return option.model_copy(update=update), kept


def _tile_candidates(case: Case, option: LayerOption) -> Callable[[Observed], Candidates]:
    assert isinstance(case.target, AnalogTarget)
    rule = case.target.tile.input_range
    if isinstance(rule, DynamicRange):
        return lambda _seen: ({}, {})
    trained = case.trained_range
    if rule.rule != "least_error" and trained is None:
        return lambda seen: (_by_rule(rule, seen), {})
    weight = some_columns(case.weight, MOST_COLUMNS)
    weight = weight if case.channel_scale is None else weight * case.channel_scale
    simulation = RangeSimulation(weight, case.target, option.clip_deviations)

    def candidates(seen: Observed) -> Candidates:
        if rule.rule != "least_error":
            ranges = _by_rule(rule, seen)
        else:
            wider = {f"{factor:g} x abs-max": seen.largest * factor for factor in FACTORS if seen.largest > 0}
            ranges = range_candidates(seen) | wider
        if trained is not None:
            ranges[TRAINED] = trained
        return ranges, dict(zip(ranges, simulation.errors(seen.kept, list(ranges.values())), strict=True))

    return candidates


def _unit_candidates(case: Case, _option: LayerOption) -> Callable[[Observed], Candidates]:
    assert isinstance(case.target, DigitalTarget)
    number_format = case.target.inputs
    if bits_of(number_format) is None:
        return lambda _seen: ({}, {})
    return lambda seen: rounding_candidates(seen, number_format)


_CANDIDATES = {AnalogTarget: _tile_candidates, DigitalTarget: _unit_candidates}
"""Kind of target -> function that gives the one from what was seen of a use to its candidates."""


def _by_rule(rule: StaticRange | PercentileRange, seen: Observed) -> dict[str, float]:
    """The range that a target's rule asks for, by name."""
    if isinstance(rule, StaticRange) or seen.largest == 0:
        return {rule.rule: seen.largest or 1.0}
    percentile = float(np.percentile(seen.kept.abs().numpy(), float(rule.percentile)))
    return {rule.rule: percentile or seen.largest}


def _trained_range(case: Case, candidates: dict[str, float], errors: dict[str, float], use: int | None) -> Decision:
    assert case.trained is not None and case.target.tile is not None
    slices, rows = list(case.trained.slices), split_rows(case.layer.inputs, case.target.tile)
    reason = "the checkpoint was trained with it"
    if len(slices) > 1 and not case.trained.has_one_range:
        reason += f": the largest of its {len(slices)} slices of inputs, the others are in the channel scale"
    if slices != rows:
        reason += (
            f"; it was trained in slices of {split_text(slices)} inputs and runs in row-blocks of {split_text(rows)}: "
            "each input keeps its range, sums and largest weights are those of the row-blocks"
        )
    if case.trained.never_updated:
        reason += "; it counts no update of the range from data, which may be where training began"
    return range_decision(case.layer.name, "input range", TRAINED, candidates, errors, use, reason=reason)


def _own_range(case: Case, tile: Tile, use: int | None) -> Decision:
    reason = f"{case.target.name} finds a range for each vector while it runs"
    if case.trained is not None:
        reason += f"; that of the checkpoint, {case.trained.input_range:g}, is not used"
    return Decision(
        made_by="calibrate",
        subject=case.layer.name,
        use=use,
        choice="input range: each input vector's own",
        reason=reason,
        figures=[Figure(name="readings at most", value=1 + (tile.doublings or 0), unit="reading")],
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
