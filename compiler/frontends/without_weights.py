"""Networks that have shapes and no numbers, on torch's meta device: for planning at any size."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from tilewright.compiler.network.traced import Inputs
from tilewright.runtime.plan.records import Calibration

META = torch.device("meta")
UNCALIBRATED = Calibration(source="none: ranges need the model's weights", samples=0, automatic=False)


def is_without_weights(module: nn.Module) -> bool:
    """True if any parameter has no numbers."""
    return any(parameter.is_meta for parameter in module.parameters())


def to_meta(inputs: Inputs) -> Inputs:
    """Inputs of these shapes on the meta device, without numbers."""
    return {name: value.to(META) for name, value in inputs.items()}


def speak_of_cpu(graph: fx.Graph) -> None:
    """Let tensors that the graph makes itself, such as positions, be made on the CPU: plans name no other device."""

    def on_cpu(value: Any) -> Any:
        if isinstance(value, torch.device):
            return torch.device("cpu")
        if isinstance(value, list | tuple):
            return type(value)(map(on_cpu, value))
        return value

    for node in graph.nodes:
        node.args = tuple(map(on_cpu, node.args))
        node.kwargs = {key: on_cpu(value) for key, value in node.kwargs.items()}
