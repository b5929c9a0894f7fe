"""Observing run over the sample inputs, for the steps that fix scales and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.compiler.network.layers import WeightLayer
from tilewright.compiler.network.network import Network
from tilewright.compiler.observing.observation import KEPT_ROWS, Observed
from tilewright.compiler.observing.watching import Watcher, watching
from tilewright.runtime.plan.names import layer_path, matmul_path

KEPT_VALUES = 2**16
"""Values kept for each operand of a matmul, of all its heads together."""


@dataclass
class Observations:
    """Inputs of layers and operands of products on the calibration set."""

    layer_inputs: dict[tuple[str, int], Observed]
    """Inputs of layers, by layer and use."""
    operands: dict[tuple[str, int], Observed]
    """Operands of products, by product and side (0 left, 1 right); a column a head where ranges a head are wanted."""

    def of_layer(self, layer: WeightLayer) -> list[Observed]:
        """Inputs of each use of a layer."""
        return [self.layer_inputs[layer.name, use] for use in range(layer.uses)]

    def of_product(self, name: str) -> tuple[Observed, Observed]:
        """Left and right operand of a product."""
        return self.operands[name, 0], self.operands[name, 1]

    def divided(self, scales: Mapping[str, Tensor]) -> Observations:
        """Observations of a network in which the inputs of these layers are divided by a number a channel."""
        inputs = {
            (name, use): seen.divided_by(scales[name]) if name in scales else seen
            for (name, use), seen in self.layer_inputs.items()
        }
        return Observations(inputs, self.operands)


@torch.inference_mode()
def observe(network: Network, heads: Mapping[str, int]) -> Observations:
    """Run the calibration inputs. heads: number of heads of products whose operands are seen head by head."""
    samples = network.traced.calibration_inputs
    seen = Observations({}, {})
    for name, layer in network.layers.items():
        for use in range(layer.uses):
            seen.layer_inputs[name, use] = Observed(len(samples), KEPT_ROWS)
    for name in network.products:
        for side in (0, 1):
            seen.operands[name, side] = Observed(len(samples), KEPT_VALUES // heads.get(name, 1))

    def watch_layer(name: str) -> Watcher:
        def see(arguments: tuple[Tensor, int]) -> None:
            x, use = arguments
            seen.layer_inputs[name, use].see(x.reshape(-1, x.shape[-1]))

        return see

    def watch_matmul(name: str) -> Watcher:
        def see(arguments: tuple[Tensor, Tensor]) -> None:
            for side, operand in enumerate(arguments):
                a_head = operand.movedim(1, -1) if name in heads else operand.unsqueeze(-1)
                seen.operands[name, side].see(a_head.reshape(-1, a_head.shape[-1]))

        return see

    watchers = {layer_path(name): watch_layer(name) for name in network.layers}
    watchers |= {matmul_path(name): watch_matmul(name) for name in network.products}
    with watching(network.graph, watchers):
        for sample in samples:
            network.graph(*sample.values())
    return seen
