"""Layers of a plan with the adapter that is chosen, around the modules of the base."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tilewright.runtime.plan.adapter_records import LowRankRecord, ReplacementRecord
from tilewright.runtime.plan.adapters import columns_of, is_replaced, outputs_with
from tilewright.runtime.plan.names import adapter_key, input_factor_key, layer_path, output_factor_key
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.runtime.units.adapted_linear import AdaptedLinear, Beside, Instead


@torch.inference_mode(False)
def with_chosen_adapter(plan: Plan, modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Modules by path, those of layers that the plan's adapter is beside or in place of with it; the base is shared."""
    adapted, record = dict(modules), plan.adapter_record
    if record is None:
        return adapted
    pieces: dict[str, list[Beside | Instead]] = {}
    layers = {layer.name: layer for layer in plan.document.layers}
    for pair in record.low_rank:
        pieces.setdefault(pair.layer, []).append(_beside(plan, layers[pair.layer], pair, record.name))
    for matrix in record.replacements:
        pieces.setdefault(matrix.layer, []).append(_instead(plan, layers[matrix.layer], matrix, record.name))
    for name, found in pieces.items():
        layer, path = layers[name], layer_path(name)
        made = AdaptedLinear(modules[path], outputs_with(record, layer), found, is_replaced=is_replaced(record, layer))
        adapted[path] = made.to(_device_of(modules[path]))
    return adapted


def _device_of(module: nn.Module) -> torch.device:
    """Device that a module was moved to."""
    return next((tensor.device for tensor in module.buffers()), torch.device("cpu"))


def _factors(plan: Plan, layer: LayerRecord) -> tuple[Tensor, Tensor]:
    """Factors [inputs] and [outputs] between the model's matrix and the layer's, in float64."""
    if not layer.has_factors:
        return torch.ones(layer.inputs, dtype=torch.float64), torch.ones(layer.outputs, dtype=torch.float64)
    keys = input_factor_key(layer.name), output_factor_key(layer.name)
    inputs, outputs = (plan.tensors[key].double() for key in keys)
    return inputs, outputs


def _beside(plan: Plan, layer: LayerRecord, pair: LowRankRecord, adapter: str) -> Beside:
    """A and B for the layer's inputs and columns, which are the model's but for factors."""
    columns = layer.parts[pair.part].columns
    a, b = (plan.tensors[adapter_key(layer.name, adapter, pair.part, what)].double() for what in ("A", "B"))
    inputs, outputs = _factors(plan, layer)
    return Beside(columns, a * inputs, b * (pair.scale * outputs[slice(*columns)]).unsqueeze(1))


def _instead(plan: Plan, layer: LayerRecord, matrix: ReplacementRecord, adapter: str) -> Instead:
    columns = layer.parts[matrix.part].columns
    weight, bias = (
        plan.tensors[adapter_key(layer.name, adapter, matrix.part, what)].double() if there else None
        for what, there in (("weight", True), ("bias", matrix.has_bias))
    )
    assert weight is not None
    inputs, outputs = _factors(plan, layer)
    if matrix.outputs != columns_of(layer, matrix.part):  # outputs of the model, which nothing scales
        columns, outputs = (0, matrix.outputs), torch.ones(matrix.outputs, dtype=torch.float64)
    else:
        outputs = outputs[slice(*columns)]
    return Instead(columns, weight * inputs * outputs.unsqueeze(1), bias * outputs if bias is not None else None)
