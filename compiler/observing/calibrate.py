"""Input ranges of the tiles and operand ranges of the attention units, from sample inputs, by least simulated error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.network.compilation import Compilation
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.observe import KEPT_ROWS
from tilewright.compiler.observing.output_error import output_error
from tilewright.compiler.observing.simulation import some_columns
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.chip.programming import normalise, weight_scale
from tilewright.runtime.chip.tile import TileRow
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import LayerRecord, MatmulRecord
from tilewright.runtime.plan.splitting import split_columns, split_rows
from tilewright.runtime.units.formats import rounded
from tilewright.targets.errors import InputError
from tilewright.targets.spec import AnalogTarget, DigitalTarget, DynamicRange, bits_of
from tilewright.targets.spec.tile import PercentileRange, StaticRange

PERCENTILES = (99.99, 99.9, 99.5, 99.0)
"""Of |x|, beside its maximum. The quantile of signed inputs would be wrong."""
FACTORS = (0.15, 0.25, 0.35, 0.5, 0.75, 1.5, 2.0, 3.0)
"""Times the maximum, for tiles. A narrower range clips outliers and lifts all else above the noise of the converters; a
wider one drives the rows less, so that large sums clip less in the ADC."""
MOST_COLUMNS = 2048
"""Columns of a layer that ranges are tried on, evenly spaced; columns are alike in law."""
OTHER_FORMATS = ("int4", "int6", "int8", "int10", "bf16")
"""Of attention units, what a decision compares its own with."""


@torch.inference_mode()
def calibrate(compilation: Compilation) -> None:
    """Fix every range. What chose it, and what was rejected, goes into the decisions."""
    for decisions in in_parallel(partial(_choose_ranges, compilation), list(compilation.layers.values())):
        compilation.decisions += decisions
    for matmul in compilation.matmuls.values():
        left, right = (compilation.matmul_operands.pop((matmul.name, side)) for side in (0, 1))
        for observed in (left, right):
            _require_finite(matmul.name, observed)
        _choose_operand_ranges(compilation, matmul, left, right)


def _choose_ranges(compilation: Compilation, layer: LayerRecord) -> list[Decision]:
    """Fix the ranges of one layer's uses."""
    seen = [compilation.layer_inputs[layer.name, use] for use in range(len(layer.uses))]
    target = compilation.target_of(layer)
    for observed in seen:
        _require_finite(layer.name, observed)
    if isinstance(target, DigitalTarget):
        return _choose_unit_ranges(layer, target, seen)
    return _choose_tile_ranges(compilation, layer, target, seen)


def _require_finite(name: str, seen: Observed) -> None:
    """Raise ``InputError`` for inputs that no range can hold."""
    if not math.isfinite(seen.largest):
        raise InputError(f"the inputs of {name!r} reach {seen.largest} on the calibration inputs: no range holds them")


def range_candidates(seen: Observed) -> dict[str, float]:
    """The ranges to choose from, by name: the maximum of |x| and percentiles below it; equal ones once."""
    magnitudes = seen.kept.abs().flatten()
    if magnitudes.numel() == 0 or seen.largest == 0:
        return {"abs-max": 1.0}
    places = [max(0, round(magnitudes.numel() * percentile / 100) - 1) for percentile in PERCENTILES]
    ordered = np.partition(magnitudes.numpy(), places)
    ranges = {"abs-max": seen.largest}
    for percentile, place in zip(PERCENTILES, places, strict=True):
        value = float(ordered[place])
        if 0 < value < min(ranges.values()):
            ranges[f"percentile {percentile}"] = value
    return ranges


def _choose_tile_ranges(
    compilation: Compilation, layer: LayerRecord, target: AnalogTarget, observed: list[Observed]
) -> list[Decision]:
    weight = some_columns(compilation.layer_module(layer.name).weight, MOST_COLUMNS)
    if layer.has_channel_scale:
        scale = compilation.channel_scales[layer.name]
        weight, observed = weight * scale, [seen.divided_by(scale) for seen in observed]
    rule = target.tile.input_range
    simulation = RangeSimulation(weight, target, layer.clip_deviations) if rule.rule == "least_error" else None
    decisions = []
    for use, seen in enumerate(observed):
        subject = _subject(layer, use)
        if isinstance(rule, DynamicRange):
            layer.uses[use].input_range = None
            decisions.append(_own_range(subject, target))
            continue
        candidates = range_candidates(seen)
        if simulation is not None:
            candidates |= {f"{factor:g} x abs-max": seen.largest * factor for factor in FACTORS if seen.largest > 0}
            errors = dict(zip(candidates, simulation.errors(seen.kept, list(candidates.values())), strict=True))
            best = min(errors, key=lambda name: errors[name])
        else:
            candidates, best, errors = _by_rule(rule, seen), rule.rule, {}
        layer.uses[use].input_range = candidates[best]
        decisions.append(_decision(subject, "input range", best, candidates, errors))
    if target.drift_compensation == "affine":
        _keep_calibration(compilation, layer, observed)
    return decisions


def _subject(layer: LayerRecord, use: int) -> str:
    """What a decision about one use is about."""
    return layer.name if len(layer.uses) == 1 else f"{layer.name} use {use}"


def _by_rule(rule: StaticRange | PercentileRange, seen: Observed) -> dict[str, float]:
    """The one range that a target asks for."""
    if isinstance(rule, StaticRange) or seen.largest == 0:
        return {rule.rule: seen.largest or 1.0}
    percentile = float(np.percentile(seen.kept.abs().numpy(), float(rule.percentile)))
    return {rule.rule: percentile or seen.largest}


def _own_range(subject: str, target: AnalogTarget) -> Decision:
    return Decision(
        made_by="calibrate",
        subject=subject,
        choice="input range: each input vector's own",
        reason=f"{target.name} finds a range for each vector while it runs",
        figures=[Figure(name="readings at most", value=1 + (target.tile.doublings or 0), unit="reading")],
    )


def _keep_calibration(compilation: Compilation, layer: LayerRecord, observed: list[Observed]) -> None:
    """Inputs as the DACs see them, for the fit of factor and offset at each time; of all uses alike."""
    each = max(1, KEPT_ROWS // len(observed))
    parts = [seen.kept[:: -(-len(seen.kept) // each)] / (use.input_range or 1.0)
             for seen, use in zip(observed, layer.uses, strict=True) if len(seen.kept)]  # fmt: skip
    if parts:
        layer.has_calibration = True
        compilation.calibrations[layer.name, layer.target] = torch.cat(parts)


def _choose_unit_ranges(layer: LayerRecord, unit: DigitalTarget, observed: list[Observed]) -> list[Decision]:
    """Ranges of a digital unit's inputs, by least rounding error; floating point has none."""
    if bits_of(unit.inputs) is None:
        for record in layer.uses:
            record.input_range = None
        return []
    decisions = []
    for use, seen in enumerate(observed):
        candidates = range_candidates(seen)
        errors = {name: _rounding_error(seen.kept, value, unit.inputs) for name, value in candidates.items()}
        best = min(errors, key=lambda name: errors[name])
        layer.uses[use].input_range = candidates[best]
        decisions.append(_decision(_subject(layer, use), "input range", best, candidates, errors))
    return decisions


class RangeSimulation:
    """One layer on tiles with exact weights: what converters and output noise alone do at an input range."""

    def __init__(self, weight: Tensor, target: AnalogTarget, clip_deviations: float | None) -> None:
        """weight: [outputs, inputs]."""
        self.row_splits = split_rows(weight.shape[1], target.tile)
        column_splits = split_columns(weight.shape[0], target.tile)
        self.weight = weight
        self.rows, self.scales = [], []
        for part in weight.split(self.row_splits, dim=1):
            self.scales.append(weight_scale(part, column_splits, target.tile.weight_scale, clip_deviations))
            self.rows.append(TileRow(normalise(part, self.scales[-1]), target))

    def errors(self, x: Tensor, input_ranges: list[float]) -> list[float]:
        """The output error of the products with ``x`` [samples, inputs] at each range; the noise is the same at all."""
        exact = x @ self.weight.T
        sums = [torch.zeros_like(exact) for _ in input_ranges]
        parts = x.split(self.row_splits, dim=1)
        for index, (row, scale, part) in enumerate(zip(self.rows, self.scales, parts, strict=True)):
            normal = Draws(0, 0).normal(exact.shape, "calibrate", index) if row.is_noisy else None
            for total, input_range in zip(sums, input_ranges, strict=True):
                total.add_(row.multiply(part, input_range, normal) * (scale * input_range))
        return [output_error(outputs, exact) for outputs in sums]


@dataclass(frozen=True)
class _Rounding:
    """The best ranges of one operand in one number format, one a head or one in all, and what they were chosen from."""

    ranges: list[float]
    candidates: dict[str, float]
    errors: dict[str, float]
    best: str
    """Of the last head."""
    error: float
    """Of the operand with all its ranges."""


def _choose_operand_ranges(compilation: Compilation, matmul: MatmulRecord, left: Observed, right: Observed) -> None:
    """A range for each operand, or for each head of it, by least rounding error; and what other formats would do."""
    rounding = {
        number_format: (
            _round_operand(left, number_format, signed=matmul.left_signed),
            _round_operand(right, number_format, signed=True),
        )
        for number_format in dict.fromkeys([matmul.operands, *OTHER_FORMATS])
    }
    for side, found in zip(("left", "right"), rounding[matmul.operands], strict=True):
        setattr(matmul, f"{side}_ranges", found.ranges)
        if len(found.ranges) == 1:
            what = f"{side} operand range"
            decision = _decision(matmul.name, what, found.best, found.candidates, found.errors)
        else:
            decision = _ranges_of_heads(matmul.name, side, found.ranges)
        compilation.decisions.append(decision)
    choice = next(d for d in compilation.decisions if d.made_by == "route_attention" and d.subject == matmul.name)
    choice.figures.append(_operand_error(*rounding.pop(matmul.operands)))
    choice.rejected = [
        Alternative(choice=f"{other.upper()} unit", figures=[_operand_error(*sides)])
        for other, sides in rounding.items()
    ]


def _round_operand(seen: Observed, number_format: str, *, signed: bool) -> _Rounding:
    ranges, candidates, errors, best = [], {}, {}, ""
    for head in seen.columns():
        candidates = range_candidates(head)
        errors = {
            name: _rounding_error(head.kept, value, number_format, signed=signed) for name, value in candidates.items()
        }
        best = min(errors, key=lambda name: errors[name])
        ranges.append(candidates[best])
    error = _rounding_error(seen.kept, torch.tensor(ranges), number_format, signed=signed)
    return _Rounding(ranges, candidates, errors, best, error)


def _ranges_of_heads(subject: str, side: str, ranges: list[float]) -> Decision:
    return Decision(
        made_by="calibrate",
        subject=subject,
        choice=f"{side} operand ranges: each head's own",
        reason="each head's range is the one of least rounding error on the calibration inputs",
        figures=[
            Figure(name="smallest range", value=min(ranges), unit="input"),
            Figure(name="largest range", value=max(ranges), unit="input"),
        ],
    )


def _operand_error(left: _Rounding, right: _Rounding) -> Figure:
    """√(error² of the left operand + error² of the right), each with the best ranges of the format."""
    return Figure(name="rounding error of operands", value=math.hypot(left.error, right.error), unit="1")


def _rounding_error(values: Tensor, value_range: float | Tensor, number_format: str, *, signed: bool = True) -> float:
    norm = float(values.norm())
    if not norm:
        return 0.0
    return float((rounded(values, number_format, value_range, signed=signed) - values).norm()) / norm


def _decision(subject: str, what: str, best: str, candidates: dict[str, float], errors: dict[str, float]) -> Decision:
    def figures(name: str) -> list[Figure]:
        error = [Figure(name="simulated error", value=errors[name], unit="1")] if name in errors else []
        return [Figure(name="range", value=candidates[name], unit="input"), *error]

    return Decision(
        made_by="calibrate",
        subject=subject,
        choice=f"{what}: {best} of |x|",
        reason=_why(candidates, errors),
        figures=figures(best),
        rejected=[Alternative(choice=name, figures=figures(name)) for name in candidates if name != best],
    )


def _why(candidates: dict[str, float], errors: dict[str, float]) -> str:
    if not errors:
        return "the target asks for this rule"
    return "the least simulated error on the calibration inputs" if len(candidates) > 1 else "the only candidate"
