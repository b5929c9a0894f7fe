"""Observing run over the sample inputs, for the steps that fix scales and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

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
    watchers: dict[str, Watcher] = {}
    for name, layer in network.layers.items():
        uses = [Observed(len(samples), KEPT_ROWS) for _ in range(layer.uses)]
        seen.layer_inputs |= {(name, use): observed for use, observed in enumerate(uses)}
        watchers[layer_path(name)] = partial(_see_input, uses)
    for name in network.products:
        sides = [Observed(len(samples), KEPT_VALUES // heads.get(name, 1)) for _ in ("left", "right")]
        seen.operands |= {(name, side): observed for side, observed in enumerate(sides)}
        watchers[matmul_path(name)] = partial(_see_operands, sides, name in heads)
    with watching(network.graph, watchers):
        for sample in samples:
            network.graph(*sample.values())
    return seen


def _see_input(uses: list[Observed], arguments: tuple[Tensor, int]) -> None:
    x, use = arguments
    uses[use].see(x.reshape(-1, x.shape[-1]))


def _see_operands(sides: list[Observed], by_head: bool, arguments: tuple[Tensor, Tensor]) -> None:
    for observed, operand in zip(sides, arguments, strict=True):
        a_head = operand.movedim(1, -1) if by_head else operand.unsqueeze(-1)
        observed.see(a_head.reshape(-1, a_head.shape[-1]))
