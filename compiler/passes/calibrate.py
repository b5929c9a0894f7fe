"""Input ranges of the tiles and operand ranges of the attention units, from sample inputs, by least simulated error."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.compilation import Compilation
from tilewright.compiler.observation import Observed
from tilewright.compiler.output_error import output_error
from tilewright.compiler.passes.partition import split_evenly
from tilewright.runtime.draws import Draws
from tilewright.runtime.layers import IntMatmul
from tilewright.runtime.plan import Alternative, Decision, Figure, LayerRecord, MatmulRecord
from tilewright.runtime.programming import column_scale
from tilewright.runtime.tile import TileRow
from tilewright.targets.spec import Target

PERCENTILES = (99.99, 99.9, 99.5, 99.0)
"""Of |x|, beside its maximum. The quantile of signed inputs would be wrong."""
FACTORS = (0.15, 0.25, 0.35, 0.5, 0.75, 1.5, 2.0, 3.0)
"""Times the maximum, for tiles. A narrower range clips outliers and lifts all else above the noise of the converters; a
wider one drives the rows less, so that large sums clip less in the ADC."""


@torch.inference_mode()
def calibrate(compilation: Compilation) -> None:
    """Fix every range. What chose it, and what was rejected, goes into the decisions."""
    for layer in compilation.layers.values():
        seen = [compilation.layer_inputs.pop((layer.name, use)) for use in range(len(layer.uses))]
        _choose_input_ranges(compilation, layer, seen)
    for matmul in compilation.matmuls.values():
        left, right = (compilation.matmul_operands.pop((matmul.name, side)) for side in (0, 1))
        _choose_operand_ranges(compilation, matmul, left, right)


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


def _choose_input_ranges(compilation: Compilation, layer: LayerRecord, observed: list[Observed]) -> None:
    weight = compilation.layer_module(layer.name).weight
    if layer.has_channel_scale:
        scale = compilation.channel_scales[layer.name]
        weight, observed = weight * scale, [seen.divided_by(scale) for seen in observed]
    simulation = RangeSimulation(weight, compilation.target)
    for use, seen in enumerate(observed):
        candidates = range_candidates(seen)
        candidates |= {f"{factor:g} x abs-max": seen.largest * factor for factor in FACTORS if seen.largest > 0}
        errors = {name: simulation.error(seen.kept, value) for name, value in candidates.items()}
        best = min(errors, key=lambda name: errors[name])
        layer.uses[use].input_range = candidates[best]
        subject = layer.name if len(observed) == 1 else f"{layer.name} use {use}"
        compilation.decisions.append(_decision(subject, "input range", best, candidates, errors))


class RangeSimulation:
    """One layer on tiles with exact weights: what converters and output noise alone do at an input range."""

    def __init__(self, weight: Tensor, target: Target) -> None:
        """weight: [outputs, inputs]."""
        self.row_splits = split_evenly(weight.shape[1], target.tile.rows)
        self.weight = weight
        self.rows, self.scales = [], []
        for part in weight.split(self.row_splits, dim=1):
            self.scales.append(column_scale(part))
            self.rows.append(TileRow(part / self.scales[-1].unsqueeze(1), target))

    def error(self, x: Tensor, input_range: float) -> float:
        """The output error of the products with ``x`` [samples, inputs]; the noise has a fixed name."""
        exact = x @ self.weight.T
        draws = Draws(0, 0)
        outputs = torch.zeros_like(exact)
        parts = x.split(self.row_splits, dim=1)
        for index, (row, scale, part) in enumerate(zip(self.rows, self.scales, parts, strict=True)):
            normal = draws.normal(exact.shape, "calibrate", index) if row.is_noisy else None
            outputs += row.multiply(part, input_range, normal) * (scale * input_range)
        return output_error(outputs, exact)


def _choose_operand_ranges(compilation: Compilation, matmul: MatmulRecord, left: Observed, right: Observed) -> None:
    for side, seen in (("left", left), ("right", right)):
        candidates = range_candidates(seen)
        values = seen.kept
        errors = {name: _rounding_error(values, value, matmul.bits) for name, value in candidates.items()}
        best = min(errors, key=lambda name: errors[name])
        setattr(matmul, f"{side}_range", candidates[best])
        decision = _decision(matmul.name, f"{side} operand range", best, candidates, errors)
        compilation.decisions.append(decision)


def _rounding_error(values: Tensor, value_range: float, bits: int | None) -> float:
    norm = float(values.norm())
    if bits is None or not norm:
        return 0.0
    unit = IntMatmul(bits, value_range, value_range)
    rounded = unit.quantise(values, value_range) * (value_range / unit.largest)
    return float((rounded - values).norm()) / norm


def _decision(subject: str, what: str, best: str, candidates: dict[str, float], errors: dict[str, float]) -> Decision:
    def figures(name: str) -> list[Figure]:
        return [
            Figure(name="range", value=candidates[name], unit="input"),
            Figure(name="simulated error", value=errors[name], unit="1"),
        ]

    return Decision(
        made_by="calibrate",
        subject=subject,
        choice=f"{what}: {best} of |x|",
        reason="the least simulated error on the calibration inputs" if len(candidates) > 1 else "the only candidate",
        figures=figures(best),
        rejected=[Alternative(choice=name, figures=figures(name)) for name in candidates if name != best],
    )
