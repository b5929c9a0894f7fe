"""Observing run over the sample inputs, for the steps that fix scales and ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.network.layers import WeightLayer
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.traced import Inputs
from tilewright.compiler.network.trained_layers import TrainedLayer
from tilewright.compiler.observing.observation import KEPT_ROWS, Observed
from tilewright.compiler.observing.watching import Watcher, read_vectors, watching
from tilewright.runtime.plan.decisions import Figure
from tilewright.runtime.plan.names import layer_path, matmul_path
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.units.full_precision import DigitalLinear, reading_all
from tilewright.targets.errors import InputError
from tilewright.targets.spec import AnalogTarget, DigitalTarget, Programming

KEPT_VALUES = 2**16
"""Values kept for each operand of a matmul, of all its heads together."""


@dataclass(frozen=True)
class Case:
    """A layer on one target, with what decides its ranges there."""

    layer: WeightLayer
    module: DigitalLinear
    target: AnalogTarget | DigitalTarget
    method: Programming | None
    """Programming method; None on digital units."""
    inputs: list[Observed]
    """Inputs of each use on the calibration set."""
    channel_scale: Tensor | None = None
    """Numbers [inputs] by which inputs are divided, and that the weights on tiles hold; None on digital units."""
    trained: TrainedLayer | None = None
    """Input ranges that the layer was trained with on tiles; None if there are none, and on digital units."""

    @property
    def is_converted(self) -> bool:
        """True if its inputs go through a DAC."""
        return self.target.tile is not None and self.target.tile.dac is not None

    @property
    def trained_range(self) -> float | None:
        """The range that the layer was trained with, where the target holds one for all input vectors."""
        is_static = self.target.tile is not None and self.target.tile.doublings is None
        return self.trained.input_range if self.trained is not None and is_static else None

    @property
    def weight(self) -> Tensor:
        """The layer's matrix [outputs, inputs]."""
        return used(self.module.weight)

    @property
    def scaled_inputs(self) -> list[Observed]:
        """Inputs of each use behind the channel scale."""
        return self.inputs if self.channel_scale is None else divided(self.inputs, self.channel_scale)


@dataclass(frozen=True)
class Observations:
    """Inputs of layers and operands of products on the calibration set."""

    layer_inputs: dict[str, list[Observed]]
    """Inputs of each use, by layer."""
    operands: dict[str, list[Observed]]
    """Left and right operand, by product; a column a head where ranges a head are wanted."""
    shares: dict[str, tuple[float, ...]]
    """Share of the vectors that each use read, by layer that a router chooses some for."""


def divided(inputs: list[Observed], scale: Tensor) -> list[Observed]:
    """Inputs of each use, divided by a number a channel."""
    return [observed.divided_by(scale) for observed in inputs]


@torch.inference_mode()
def observe(network: Network, heads: Mapping[str, int]) -> Observations:
    """Run the calibration inputs. heads: number of heads of products whose operands are seen head by head.

    Raises ``InputError`` for inputs that no range can hold.
    """
    samples = network.traced.calibration_inputs
    seen = Observations({}, {}, {})
    reads: dict[str, Reads] = {}
    watchers: dict[str, Watcher] = {}
    in_loops: dict[str, list[tuple[Tensor, int]]] = {}
    for name, layer in network.layers.items():
        uses = seen.layer_inputs[name] = [Observed(len(samples), KEPT_ROWS) for _ in range(layer.uses)]
        if network.uses_of(layer_path(name)):
            reads[name] = Reads(layer.uses)
            watchers[layer_path(name)] = partial(_see_input, uses, reads[name])
        else:
            watchers[layer_path(name)] = in_loops.setdefault(name, []).append
    for name in network.products:
        wanted = KEPT_VALUES // heads.get(name, 1)
        sides = seen.operands[name] = [Observed(len(samples), wanted) for _ in ("left", "right")]
        watchers[matmul_path(name)] = partial(_see_operands, sides, name in heads)
    with watching(network.graph, watchers):
        for sample in samples:
            network.graph(*sample.values())
            for name, steps in in_loops.items():  # those of all steps of a sample are seen together
                for use, observed in enumerate(seen.layer_inputs[name]):
                    observed.see(torch.cat([x.reshape(-1, x.shape[-1]) for x, at in steps if at == use]))
                steps.clear()
    _see_unreached(network, seen, reads, samples)
    for name, inputs in [*seen.layer_inputs.items(), *seen.operands.items()]:
        for largest in (observed.largest for observed in inputs):
            if not math.isfinite(largest):
                raise InputError(
                    f"the inputs of {name!r} reach {largest} on the calibration inputs: no range holds them"
                )
    return seen


class Reads:
    """Vectors that each use of a layer read, and those that there were."""

    def __init__(self, uses: int) -> None:
        self.read, self.there = [0] * uses, [0] * uses

    @property
    def shares(self) -> tuple[float, ...] | None:
        """Share that each use read; None where all read all."""
        pairs = list(zip(self.read, self.there, strict=True))
        return (
            None
            if all(read == there for read, there in pairs)
            else tuple(read / max(1, there) for read, there in pairs)
        )


def _see_input(uses: list[Observed], reads: Reads, arguments: tuple[Any, ...]) -> None:
    x, use = arguments[:2]
    rows = read_vectors(arguments)
    reads.read[use] += len(rows)
    reads.there[use] += x.numel() // max(1, x.shape[-1])
    if len(rows):
        uses[use].see(rows)


def _see_unreached(network: Network, seen: Observations, reads: Mapping[str, Reads], samples: Sequence[Inputs]) -> None:
    """See the layers of experts that no sample reached as if they read every vector; say so."""
    found = {name: one.shares for name, one in reads.items()}
    seen.shares.update({name: shares for name, shares in found.items() if shares is not None})
    unreached = [name for name, shares in seen.shares.items() if 0.0 in shares]
    if not unreached:
        return
    modules = [network.layer_module(name) for name in unreached]
    watchers: dict[str, Watcher] = {}
    for name in unreached:
        uses = [one if not one.kept.numel() else Observed(1, 1) for one in seen.layer_inputs[name]]
        watchers[layer_path(name)] = partial(_see_all, uses)
        reason = "no calibration sample was sent to it: its ranges are those of all vectors; give more samples"
        network.decide("observe", name, "seen on all vectors", reason, Figure(name="vectors", value=0, unit="vector"))
    with reading_all(modules), watching(network.graph, watchers):
        for sample in samples:
            network.graph(*sample.values())


def _see_all(uses: list[Observed], arguments: tuple[Any, ...]) -> None:
    x, use = arguments[:2]
    uses[use].see(x.reshape(-1, x.shape[-1]))


def _see_operands(sides: list[Observed], by_head: bool, arguments: tuple[Tensor, Tensor]) -> None:
    for observed, operand in zip(sides, arguments, strict=True):
        a_head = operand.movedim(1, -1) if by_head else operand.unsqueeze(-1)
        observed.see(a_head.reshape(-1, a_head.shape[-1]))
