"""Input ranges of the tiles and operand ranges of the attention units, from sample inputs, by least simulated error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from tilewright.compiler.compilation import Compilation
from tilewright.compiler.passes.partition import split_evenly
from tilewright.runtime.draws import Draws
from tilewright.runtime.layers import DigitalLinear, IntMatmul
from tilewright.runtime.names import layer_path, matmul_path
from tilewright.runtime.plan import Alternative, Decision, Figure, LayerRecord, MatmulRecord
from tilewright.runtime.programming import column_scale
from tilewright.runtime.tile import TileRow
from tilewright.targets.spec import Target

PERCENTILES = (99.99, 99.9, 99.5, 99.0)
"""Of |x|, beside its maximum. The quantile of signed inputs would be wrong."""
WIDER = (1.5, 2.0, 3.0)
"""Multiples of the maximum, for tiles: a wider range drives the rows less, so that large sums clip less in the ADC."""
KEPT_ROWS = 256
"""Input vectors kept for each use of a layer."""
KEPT_VALUES = 2**16
"""Values kept for each operand of a matmul."""


class Observed:
    """What was seen of one tensor over the calibration set: its maximum, and rows kept from each sample."""

    def __init__(self, samples: int, wanted: int) -> None:
        """samples: in the calibration set; wanted: rows to keep of all of them together."""
        self.largest = 0.0
        self.rows_a_sample = -(-wanted // samples)
        self._capacity = self.rows_a_sample * samples
        self._buffer = torch.empty(0)
        self._filled = 0

    def see(self, values: Tensor) -> None:
        """Note the maximum, and keep evenly spaced rows of ``values`` [rows, ...]."""
        rows = values.shape[0]
        if not self._filled:
            self._buffer = torch.empty(self._capacity, *values.shape[1:])
        self.largest = max(self.largest, values.abs().max().item() if values.numel() else 0.0)
        places = torch.linspace(0, rows - 1, min(self.rows_a_sample, rows)).round().long()
        self._buffer[self._filled : self._filled + len(places)] = values[places]
        self._filled += len(places)

    @property
    def kept(self) -> Tensor:
        """The kept rows [rows, ...]."""
        return self._buffer[: self._filled]

    def candidates(self) -> dict[str, float]:
        """The ranges to choose from, by name; equal ones once."""
        magnitudes = self.kept.abs().flatten()
        if magnitudes.numel() == 0 or self.largest == 0:
            return {"abs-max": 1.0}
        places = [max(0, round(magnitudes.numel() * percentile / 100) - 1) for percentile in PERCENTILES]
        ordered = np.partition(magnitudes.numpy(), places)
        ranges = {"abs-max": self.largest}
        for percentile, place in zip(PERCENTILES, places, strict=True):
            value = float(ordered[place])
            if 0 < value < min(ranges.values()):
                ranges[f"percentile {percentile}"] = value
        return ranges

    def wider_candidates(self) -> dict[str, float]:
        """Ranges above the maximum."""
        return {f"{factor:g} x abs-max": self.largest * factor for factor in WIDER if self.largest > 0}


def calibrate(compilation: Compilation) -> None:
    """Fix every range. What chose it, and what was rejected, goes into the decisions."""
    samples = len(compilation.traced.calibration_inputs)
    layers = {
        (name, use): Observed(samples, KEPT_ROWS)
        for name, layer in compilation.layers.items()
        for use in range(len(layer.uses))
    }
    operands = {(name, side): Observed(samples, KEPT_VALUES) for name in compilation.matmuls for side in (0, 1)}
    _observe(compilation, layers, operands)
    for layer in compilation.layers.values():
        _choose_input_ranges(compilation, layer, [layers.pop((layer.name, use)) for use in range(len(layer.uses))])
    for matmul in compilation.matmuls.values():
        _choose_operand_ranges(compilation, matmul, operands.pop((matmul.name, 0)), operands.pop((matmul.name, 1)))


@torch.inference_mode()
def _observe(
    compilation: Compilation,
    layers: dict[tuple[str, int], Observed],
    operands: dict[tuple[str, int], Observed],
) -> None:
    def see_layer(name: str, arguments: tuple[Tensor, int]) -> None:
        x, use = arguments
        layers[name, use].see(x.reshape(-1, x.shape[-1]))

    def see_matmul(name: str, arguments: tuple[Tensor, Tensor]) -> None:
        for side, operand in enumerate(arguments):
            operands[name, side].see(operand.reshape(-1))

    with (
        _watching(compilation.graph, {layer_path(name): (name, see_layer) for name in compilation.layers}),
        _watching(compilation.graph, {matmul_path(name): (name, see_matmul) for name in compilation.matmuls}),
    ):
        for sample in compilation.traced.calibration_inputs:
            compilation.graph(*sample.values())


@contextmanager
def _watching(graph: nn.Module, watchers: dict[str, tuple[str, object]]) -> Iterator[None]:
    """Call a watcher with its name and the arguments, before the module at each path runs."""
    handles = []
    for path, (name, see) in watchers.items():

        def before(module: nn.Module, arguments: object, name: str = name, see: object = see) -> None:
            see(name, arguments)  # type: ignore[operator]

        handles.append(graph.get_submodule(path).register_forward_pre_hook(before))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def _choose_input_ranges(compilation: Compilation, layer: LayerRecord, observed: list[Observed]) -> None:
    module = compilation.layer_module(layer.name)
    simulation = RangeSimulation(module, compilation.target)
    for use, seen in enumerate(observed):
        candidates = seen.candidates() | seen.wider_candidates()
        x = seen.kept[:KEPT_ROWS]
        errors = {name: simulation.error(x, value) for name, value in candidates.items()}
        best = min(errors, key=lambda name: errors[name])
        layer.uses[use].input_range = candidates[best]
        subject = layer.name if len(observed) == 1 else f"{layer.name} use {use}"
        compilation.decisions.append(_decision(subject, "input range", best, candidates, errors))


class RangeSimulation:
    """One layer on tiles with exact weights: what converters and output noise alone do at an input range."""

    def __init__(self, layer: DigitalLinear, target: Target) -> None:
        self.row_splits = split_evenly(layer.weight.shape[1], target.tile.rows)
        self.weight = layer.weight
        self.rows, self.scales = [], []
        for part in layer.weight.split(self.row_splits, dim=1):
            self.scales.append(column_scale(part))
            self.rows.append(TileRow(part / self.scales[-1].unsqueeze(1), target))

    def error(self, x: Tensor, input_range: float) -> float:
        """||y - ŷ|| / ||y|| of the products with ``x`` [samples, inputs]; the noise has a fixed name."""
        exact = x @ self.weight.T
        draws = Draws(0, 0)
        outputs = torch.zeros_like(exact)
        parts = x.split(self.row_splits, dim=1)
        for index, (row, scale, part) in enumerate(zip(self.rows, self.scales, parts, strict=True)):
            normal = draws.normal(exact.shape, "calibrate", index) if row.is_noisy else None
            outputs += row.multiply(part, input_range, normal) * (scale * input_range)
        norm = float(exact.norm())
        return float((outputs - exact).norm()) / norm if norm else 0.0


@torch.inference_mode()
def _choose_operand_ranges(compilation: Compilation, matmul: MatmulRecord, left: Observed, right: Observed) -> None:
    for side, seen in (("left", left), ("right", right)):
        candidates = seen.candidates()
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
            Figure(name="simulated relative error", value=errors[name], unit="1"),
        ]

    return Decision(
        made_by="calibrate",
        subject=subject,
        choice=f"{what}: {best} of |x|",
        reason="the least simulated error on the calibration inputs" if len(candidates) > 1 else "the only candidate",
        figures=figures(best),
        rejected=[Alternative(choice=name, figures=figures(name)) for name in candidates if name != best],
    )
