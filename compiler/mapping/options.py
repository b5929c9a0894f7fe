"""Options of each layer: its mapping on every target that is open to it, so that a choice needs no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from tilewright.compiler.mapping.assign_targets import Assigned
from tilewright.compiler.mapping.choose_programming import Wish, by_name, choose_programming
from tilewright.compiler.mapping.partition import partition
from tilewright.compiler.network.layers import WeightLayer
from tilewright.compiler.observing.clip_weights import clip_weights
from tilewright.compiler.observing.input_ranges import require_finite, tile_ranges, unit_ranges
from tilewright.compiler.observing.observation import Observed
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.records import LayerOption, UseOption
from tilewright.targets.spec import AnalogTarget, Chip, DigitalTarget, Programming


@dataclass(frozen=True)
class Seen:
    """Data to find ranges with: a layer's matrix [outputs, inputs], its channel scale, the inputs of its uses."""

    weight: Tensor
    channel_scale: Tensor | None
    inputs: list[Observed]


@dataclass(frozen=True)
class Made:
    """An option, with the tensors and programming method that it names."""

    option: LayerOption
    method: Programming | None = None
    calibration: Tensor | None = None


@dataclass
class Options:
    """Options of all layers, with the tensors and programming methods that they name."""

    of_layers: dict[str, list[LayerOption]] = field(default_factory=dict)
    """Options by layer; the one of the target that it was assigned to comes first."""
    methods: list[Programming] = field(default_factory=list)
    calibrations: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    """Inputs on tiles in parts of their range [vectors, inputs], by layer and target."""


def offer_targets(
    layers: Mapping[str, WeightLayer],
    assigned: Mapping[str, Assigned],
    chip: Chip,
    wishes: Mapping[str, Wish],
    seen: Callable[[WeightLayer], Seen | None],
) -> Options:
    """Options of each layer: its own target, and the chip's others where nobody asked for one.

    seen: gives the data that ranges are found with; None for a network without weights, whose ranges stay open. The
    graph, and with it a channel scale that was folded into the layer before, is the same for all of them.
    """
    wanted = [(layer, assigned[layer.name].target) for layer in layers.values()]
    wanted += [
        (layer, target)
        for target in chip.targets
        for layer in layers.values()
        if target.name != assigned[layer.name].target.name and not assigned[layer.name].asked_for
    ]
    options, methods = Options(), []

    def make(job: tuple[WeightLayer, AnalogTarget | DigitalTarget]) -> Made:
        layer, target = job
        return layer_option(layer, target, wishes.get(layer.name), seen(layer))

    for (layer, target), made in zip(wanted, in_parallel(make, wanted), strict=True):
        options.of_layers.setdefault(layer.name, []).append(made.option)
        if made.method is not None:
            methods.append(made.method)
        if made.calibration is not None:
            options.calibrations[layer.name, target.name] = made.calibration
    options.methods = list(by_name(methods).values())
    return options


def layer_option(
    layer: WeightLayer, target: AnalogTarget | DigitalTarget, wish: Wish | None, seen: Seen | None
) -> Made:
    """Option of a layer on a target of any kind."""
    if seen is not None:
        require_finite(layer.name, seen.inputs)
    return _MAKERS[type(target)](layer, target, wish, seen)


def _on_tiles(layer: WeightLayer, target: AnalogTarget, wish: Wish | None, seen: Seen | None) -> Made:
    method, chosen = choose_programming(layer.name, target, wish)
    rows, columns, split = partition(layer.name, layer.inputs, layer.outputs, target.tile)
    make = partial(
        _option, layer, target.name, programming=method.name, row_splits=rows, column_splits=columns,
    )  # fmt: skip
    if seen is None:
        return Made(make(decisions=[chosen, split]), method)
    cut, clipped = clip_weights(layer.name, seen.weight, target, method, seen.inputs, seen.channel_scale)
    ranges = tile_ranges(layer, seen.weight, target, seen.inputs, clip_deviations=cut, channel_scale=seen.channel_scale)
    option = make(
        clip_deviations=cut,
        has_channel_scale=seen.channel_scale is not None,
        has_calibration=ranges.calibration is not None,
        uses=ranges.uses,
        decisions=[chosen, *clipped, *ranges.decisions, split],
    )
    return Made(option, method, ranges.calibration)


def _on_unit(layer: WeightLayer, target: DigitalTarget, _wish: Wish | None, seen: Seen | None) -> Made:
    if seen is None:
        return Made(_option(layer, target.name))
    ranges = unit_ranges(layer, target, seen.inputs)
    return Made(_option(layer, target.name, uses=ranges.uses, decisions=ranges.decisions))


_MAKERS: dict[type, Callable[..., Made]] = {AnalogTarget: _on_tiles, DigitalTarget: _on_unit}


def _option(
    layer: WeightLayer,
    target: str,
    *,
    programming: str | None = None,
    clip_deviations: float | None = None,
    has_channel_scale: bool = False,
    has_calibration: bool = False,
    uses: list[UseOption] | None = None,
    row_splits: list[int] | None = None,
    column_splits: list[int] | None = None,
    decisions: list[Decision] | None = None,
) -> LayerOption:
    open_range = UseOption(input_range=None, largest_input=None, simulated_error=None)
    return LayerOption(
        target=target,
        programming=programming,
        clip_deviations=clip_deviations,
        has_channel_scale=has_channel_scale,
        has_calibration=has_calibration,
        uses=uses or [open_range] * layer.uses,
        row_splits=row_splits or [],
        column_splits=column_splits or [],
        decisions=decisions or [],
    )
