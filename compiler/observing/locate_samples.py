"""Location of a batch's samples in the input of every layer: the noise of a read is named by its sample.

Most layers see [samples, ...]; some see [positions, samples, ...] (torch's own attention), or both folded into one
dimension in either order. Shapes do not tell these apart, so two samples are run together and one of them alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.network.network import Network
from tilewright.compiler.network.traced import Inputs
from tilewright.compiler.observing.watching import watching
from tilewright.runtime.execution.inputs import sample_axes, sizes_of
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import BATCH, SampleAxis

CLOSE = 1e-4
"""Relative difference below which two rows are the same numbers, computed in batches of another size."""

MOST_TOGETHER = 16
"""Largest batch that one sample is repeated to, where the graph takes no batch of one."""

LayerInputs = dict[tuple[str, int], Tensor]
SampleAxes = dict[tuple[str, int], SampleAxis | None]


@torch.inference_mode()
def locate_samples(network: Network) -> SampleAxes:
    """Axis of the input of each (layer, use) that counts samples; None where none does."""
    axes: SampleAxes = {(name, use): None for name, layer in network.layers.items() for use in range(layer.uses)}
    pair = _two_samples(network)
    if pair is None:
        return axes
    together, alone = (_layer_inputs(network, inputs) for inputs in pair)
    return axes | {key: find_axis(batch, alone[key]) for key, batch in together.items()}


def _two_samples(network: Network) -> tuple[Inputs, Inputs] | None:
    """A batch of two samples that differ, and the second alone; None if the batch is fixed.

    Where the graph takes no batch of one, each is there as often as it takes.
    """
    axes = sample_axes(network.traced.inputs)
    if not axes:
        return None
    sample = network.traced.calibration_inputs[0]
    least = _least_batch(network, sample)
    first = {
        name: torch.cat([value.narrow(axes[name], 0, 1)] * least, axes[name]) if name in axes else value
        for name, value in sample.items()
    }
    other = {
        name: value.flip(-1) if name in axes and value.dim() > 1 and axes[name] != value.dim() - 1 else value
        for name, value in first.items()
    }
    both = {name: torch.cat([first[name], other[name]], axes[name]) if name in axes else first[name] for name in first}
    return both, other


def _least_batch(network: Network, sample: Inputs) -> int:
    """The least batch that the graph takes along with one twice as large; one if there is none."""
    traced = network.traced
    allowed, sizes = AllowedSizes.read(traced.dimensions, traced.size_conditions), sizes_of(traced.inputs, sample)
    taken = (n for n in range(1, MOST_TOGETHER) if all(allowed.take({**sizes, BATCH: m}) for m in (n, 2 * n)))
    return next(taken, 1)


def _layer_inputs(network: Network, inputs: Inputs) -> LayerInputs:
    seen: LayerInputs = {}
    of_experts: dict[Tensor, Tensor] = {}
    """First input that was read by what chooses vectors: those behind it are zeros where an expert is not chosen."""

    def see(name: str, arguments: tuple[Any, ...]) -> None:
        x, use, *chosen = arguments
        seen[name, use] = of_experts.setdefault(chosen[0], x) if chosen else x

    with watching(network.graph, {layer_path(name): partial(see, name) for name in network.layers}):
        network.graph(*inputs.values())
    return seen


def find_axis(batch: Tensor, alone: Tensor) -> SampleAxis | None:
    """The axis along which the second of two samples lies in ``batch`` [..., channels], given it ``alone``."""
    if batch.dim() < 2 or batch.numel() != 2 * alone.numel():
        return None
    wanted = alone.reshape(-1, alone.shape[-1])
    limit = CLOSE * float(wanted.abs().max()) if wanted.numel() else 0.0
    for axis, second in _candidates(batch):
        if float((second - wanted).abs().max()) <= limit:
            return axis
    return None


def _candidates(batch: Tensor) -> Iterator[tuple[SampleAxis, Tensor]]:
    """Every place where the second of two samples could be, with the rows that are there."""
    for dimension, size in enumerate(batch.shape[:-1]):
        if size % 2:
            continue
        outer = batch.unflatten(dimension, (2, -1)).select(dimension, 1)
        yield SampleAxis(dimension=dimension, innermost=False), outer.reshape(-1, batch.shape[-1])
        if size > 2:
            inner = batch.unflatten(dimension, (-1, 2)).select(dimension + 1, 1)
            yield SampleAxis(dimension=dimension, innermost=True), inner.reshape(-1, batch.shape[-1])
