"""One layer of a plan on its target, without the others or between them in full precision: to see what it does."""

from __future__ import annotations

import torch
from torch import nn

from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.execution.adapting import with_chosen_adapter
from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.layer_builder import LayerBuilder
from tilewright.runtime.plan.names import layer_path, matmul_path
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.runtime.units.full_precision import DigitalMatmul


@torch.inference_mode()
def layer_alone(plan: Plan, layer: LayerRecord, draws: Draws, seconds: float) -> nn.Module:
    """A layer on its target, so many seconds after programming.

    layer: one of the plan's, as it is or as it would be on another target. draws: of the chip.
    """
    return _on_target(LayerBuilder(plan.document, plan.tensors, draws), layer, seconds)


def _on_target(builder: LayerBuilder, layer: LayerRecord, seconds: float) -> nn.Module:
    module = builder.layer(layer)
    if isinstance(module, AnalogLinear):
        module.advance_to(seconds)
    return module


@torch.inference_mode()
def network_around(plan: Plan, layer: LayerRecord, draws: Draws, seconds: float) -> Executable:
    """The network, in full precision but for one layer on its target, so many seconds after programming."""
    builder = LayerBuilder(plan.document, plan.tensors, draws)
    modules: dict[str, nn.Module] = {
        layer_path(other.name): _on_target(builder, layer, seconds)
        if other.name == layer.name
        else builder.full_precision(other)
        for other in plan.document.layers
    }
    modules |= {matmul_path(matmul.name): DigitalMatmul() for matmul in plan.document.matmuls}
    return Executable(plan, with_chosen_adapter(plan, modules), seconds)
