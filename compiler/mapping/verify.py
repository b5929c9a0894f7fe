"""The last word: the blocks on their tiles are the model's layers, and every weight is placed once."""

from __future__ import annotations

import torch
from torch.nn import functional

from tilewright.compiler.network import double_precision
from tilewright.compiler.network.compilation import Compilation
from tilewright.compiler.pipeline import LARGEST_ROUNDING, TOLERANCE, relative_error
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.layers import AnalogLinear, SimulatedChip, Use
from tilewright.runtime.plan.check import check_placement
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.loading import load_programming
from tilewright.targets.spec import AnalogTarget, IdealDevice

MOST_WEIGHTS = 2**24
"""Weights that are put on ideal tiles at once."""


def verify(compilation: Compilation) -> None:
    """Check that blocks cover each layer once and share no tile; compare each layer on ideal tiles with its matrix.

    With the graph equal to the model (checked after every pass) and each layer on ideal tiles equal to its matrix, the
    plan on the ideal target equals the model. Raises ``ValueError`` otherwise.
    """
    assert compilation.placement is not None
    check_placement(compilation.layers.values(), compilation.placement, compilation.chip)
    if not compilation.traced.has_weights:
        return
    ideal = {tiles.target.name: without_noise(tiles.target) for tiles in compilation.chip.tiles}
    worst, worst_layer = 0.0, "none"
    for layer, target in compilation.layers_on_tiles():
        error = _error_on_tiles(compilation, layer, ideal[target.name])
        if not (error <= TOLERANCE or _only_rounds(compilation, layer, ideal[target.name], error)):
            raise ValueError(f"layer {layer.name} on ideal tiles has relative error {error:.2e}")
        if error >= worst:
            worst, worst_layer = error, layer.name
    compilation.decisions.append(
        Decision(
            made_by="verify",
            subject="all layers",
            choice="accepted",
            reason=f"on ideal tiles every layer equals its matrix; the largest difference is in {worst_layer}",
            figures=[Figure(name="largest relative error", value=worst, unit="1")],
        )
    )


def without_noise(target: AnalogTarget) -> AnalogTarget:
    """The same tiles with ideal devices and no converters."""
    tile = target.tile
    quiet = {
        "dac": None,
        "adc": None,
        "output_noise": type(tile.output_noise)(0, "1", "definition of ideal"),
        "short_term_read_noise": type(tile.short_term_read_noise)(0, "1", "definition of ideal"),
        "ir_drop": None,
        "scale_precision": "float32",
    }
    return target.model_copy(
        update={
            "device": IdealDevice(statistics="ideal"),
            "stuck_devices": None,
            "programming": load_programming("direct"),
            "tile": tile.model_copy(update=quiet),
            "drift_compensation": "none",
        }
    )


def _only_rounds(compilation: Compilation, layer: LayerRecord, ideal: AnalogTarget, error: float) -> bool:
    """True if the layer is its matrix in float64: the sums of very long layers round by more than is allowed."""
    exact = _error_on_tiles(compilation, layer, ideal, torch.float64) if error <= LARGEST_ROUNDING else error
    return exact <= double_precision.TOLERANCE


@torch.inference_mode()
def _error_on_tiles(
    compilation: Compilation, layer: LayerRecord, ideal: AnalogTarget, dtype: torch.dtype = torch.float32
) -> float:
    """Some column-blocks at a time: of a large vocabulary's output layer even one copy may be too large to make."""
    module = compilation.layer_module(layer.name)
    chip = SimulatedChip(ideal, Draws(0, 0), kept_as=dtype)
    channel_scale = compilation.channel_scales.get(layer.name)
    channel_scale = channel_scale.to(dtype) if channel_scale is not None else None
    x = chip.draws.normal((8, layer.inputs), "verify", layer.name).to(dtype)
    exact, outputs, first = [], [], 0
    a_step = max(1, MOST_WEIGHTS // (layer.inputs * max(layer.column_splits)))
    for place in range(0, len(layer.column_splits), a_step):
        splits = layer.column_splits[place : place + a_step]
        columns = slice(first, first + sum(splits))
        weight = module.weight[columns].to(dtype)
        bias = module.bias[columns].to(dtype) if module.bias is not None else None
        grid = (layer.row_splits, splits)
        tiles = AnalogLinear(layer.name, weight, bias, [Use(1.0, None)], grid, chip, channel_scale)
        outputs.append(tiles(x))
        exact.append(functional.linear(x, weight, bias))
        first = columns.stop
    return relative_error(torch.cat(outputs, dim=1), torch.cat(exact, dim=1))
