"""Networks that have shapes and no numbers, on torch's meta device: for planning at any size."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate

from tilewright.compiler.network.traced import Inputs

META = torch.device("meta")


def is_without_weights(module: nn.Module) -> bool:
    """True if any parameter has no numbers."""
    return any(parameter.is_meta for parameter in module.parameters())


def beside(module: nn.Module, inputs: Inputs) -> Inputs:
    """Inputs for a module: of the same shapes on the meta device, without numbers, where its parameters have none."""
    return {name: value.to(META) for name, value in inputs.items()} if is_without_weights(module) else inputs


def speak_of_cpu(graph: fx.Graph) -> None:
    """Let tensors that the graph makes itself, such as positions, be made on the CPU: plans name no other device."""

    def on_cpu(value: Any) -> Any:
        return torch.device("cpu") if isinstance(value, torch.device) else value

    for node in graph.nodes:
        node.args, node.kwargs = map_aggregate((node.args, node.kwargs), on_cpu)
