"""Verification, the last step: layers on their tiles are the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.network import double_precision
from tilewright.compiler.network.comparison import LARGEST_ROUNDING, TOLERANCE, relative_error
from tilewright.compiler.network.network import Network
from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import Use
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.ideal import without_noise
from tilewright.targets.spec import AnalogTarget, Chip

MOST_WEIGHTS = 2**24
"""Largest number of weights that are put on ideal tiles at once."""


def verify(network: Network, layers: Sequence[LayerRecord], chip: Chip, scales: Mapping[str, Tensor]) -> Decision:
    """Compare each layer on ideal tiles with its matrix. scales: channel scales that are not folded, by layer.

    With the graph equal to the model (checked after every pass) and each layer on ideal tiles equal to its matrix, the
    plan on the ideal target equals the model. Raises ``ValueError`` otherwise.
    """
    ideal = {tiles.target.name: without_noise(tiles.target) for tiles in chip.tiles}
    worst, worst_layer = 0.0, "none"
    for layer in layers:
        if layer.target not in ideal:
            continue
        on_tiles = partial(_error_on_tiles, network, layer, ideal[layer.target], scales.get(layer.name))
        error = on_tiles(torch.float32)
        # sums of very long layers round by more than is allowed
        may_round = TOLERANCE < error <= LARGEST_ROUNDING
        if not (error <= TOLERANCE or (may_round and on_tiles(torch.float64) <= double_precision.TOLERANCE)):
            raise ValueError(f"layer {layer.name} on ideal tiles has relative error {error:.2e}")
        if error >= worst:
            worst, worst_layer = error, layer.name
    return Decision(
        made_by="verify",
        subject="all layers",
        choice="accepted",
        reason=f"on ideal tiles every layer equals its matrix; the largest difference is in {worst_layer}",
        figures=[Figure(name="largest relative error", value=worst, unit="1")],
    )


@torch.inference_mode()
def _error_on_tiles(
    network: Network, layer: LayerRecord, ideal: AnalogTarget, channel_scale: Tensor | None, dtype: torch.dtype
) -> float:
    """Error of a layer on ideal tiles, some column-blocks at a time: even one copy of a large layer may be too much."""
    module, option = network.layer_module(layer.name), layer.option
    chip = SimulatedChip(ideal, Draws(0, 0), kept_as=dtype)
    channel_scale = channel_scale.to(dtype) if channel_scale is not None else None
    x = chip.draws.normal((8, layer.inputs), "verify", layer.name).to(dtype)
    exact, outputs, first = [], [], 0
    a_step = max(1, MOST_WEIGHTS // (layer.inputs * max(option.column_splits)))
    for place in range(0, len(option.column_splits), a_step):
        splits = option.column_splits[place : place + a_step]
        columns = slice(first, first + sum(splits))
        weight = module.weight[columns].to(dtype)
        bias = module.bias[columns].to(dtype) if module.bias is not None else None
        tensors, layout = LayerTensors(weight, bias, channel_scale), TileLayout(option.row_splits, splits)
        tiles = AnalogLinear(layer.name, chip, tensors, layout, [Use(1.0, None)])
        outputs.append(tiles(x))
        exact.append(functional.linear(x, weight, bias))
        first = columns.stop
    return relative_error(torch.cat(outputs, dim=1), torch.cat(exact, dim=1))
