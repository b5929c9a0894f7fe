"""Steps of compiling, in running order, with what each gives to the next: lowering, mapping, observing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from tilewright.compiler.lowering.canonicalize import canonicalize
from tilewright.compiler.lowering.find_layers import find_layers
from tilewright.compiler.lowering.find_products import find_products
from tilewright.compiler.lowering.fold_batch_norms import fold_batch_norms
from tilewright.compiler.lowering.fold_channel_scales import fold_channel_scales
from tilewright.compiler.lowering.fuse_shared_inputs import fuse_shared_inputs
from tilewright.compiler.lowering.parameters import parameters_of
from tilewright.compiler.lowering.unfold_convolutions import unfold_convolutions
from tilewright.compiler.lowering.write_as_linear import write_as_linear
from tilewright.compiler.mapping.account_for_weights import account_for_weights
from tilewright.compiler.mapping.assign_targets import Assigned, assign_targets
from tilewright.compiler.mapping.choose_programming import choose_programming
from tilewright.compiler.mapping.fusion_decisions import fusion_decisions
from tilewright.compiler.mapping.overrides import Wishes
from tilewright.compiler.mapping.partition import partition
from tilewright.compiler.mapping.place import place
from tilewright.compiler.mapping.route_attention import route_attention
from tilewright.compiler.network.layers import WeightLayer
from tilewright.compiler.network.network import Network
from tilewright.compiler.observing.calibrate import Calibrated, calibrate
from tilewright.compiler.observing.clip_weights import clip_weights
from tilewright.compiler.observing.locate_samples import SampleAxes, locate_samples
from tilewright.compiler.observing.observe import Case, divided, observe
from tilewright.compiler.observing.rescale_channels import rescale_channels
from tilewright.compiler.pipeline import OnPass, Pipeline
from tilewright.compiler.verify_tiles import verify
from tilewright.runtime.plan.decisions import STEPS, Decision
from tilewright.runtime.plan.records import (
    LayerOption,
    LayerRecord,
    MatmulRecord,
    Placement,
    UseRecord,
    WeightRecord,
)
from tilewright.targets.spec import Chip, Programming

LOWERING: list[Callable[[Network], None]] = [
    canonicalize, fold_batch_norms, unfold_convolutions, write_as_linear, find_layers, fuse_shared_inputs,
    find_products,
]  # fmt: skip
"""Passes over the graph, whatever the chip."""
ON_NUMBERS = (
    "locate_samples", "observe", "rescale_channels", "fold_channel_scales", "clip_weights", "calibrate", "verify",
)  # fmt: skip
"""Steps that run the network or look at numbers: without weights they are left out."""


@dataclass(frozen=True)
class Mapped:
    """A network on a chip: all that a plan says of it beside the network itself."""

    layers: list[LayerRecord]
    matmuls: list[MatmulRecord]
    weights: list[WeightRecord]
    placement: Placement
    programming: list[Programming]
    decisions: list[Decision]
    channel_scales: Mapping[str, Tensor]
    """Channel scales that stay digital, by layer."""
    moved: Mapping[str, Tensor]
    """Channel scales of all layers that have one, those that were folded too."""
    calibrations: Mapping[tuple[str, str], Tensor]
    """Inputs that an affine compensation is fitted to, by layer and target."""


def map_network(
    network: Network,
    wishes: Wishes,
    on_pass: OnPass | None = None,
    on_lowered: Callable[[Network], None] = lambda _network: None,
) -> Mapped:
    """Lower a network, unless that is done, and map it onto a chip.

    on_lowered: called with the network between the two. Raises ``InputError`` for wishes that cannot be met,
    ``PassError``.
    """
    has_weights, chip = network.traced.has_weights, wishes.chip
    left_out = (0 if has_weights else len(ON_NUMBERS)) + (len(LOWERING) if network.is_lowered else 0)
    pipeline = Pipeline(network, len(STEPS) - left_out, on_pass)
    if not network.is_lowered:
        for step in LOWERING:
            pipeline.lower(step)
        network.settle()
        on_lowered(network)
    samples = pipeline.decide(locate_samples, network) if has_weights else {}
    products = pipeline.decide(route_attention, network.products, wishes.units)
    targets = pipeline.decide(assign_targets, network.layers, chip, wishes.targets)
    options, methods = pipeline.decide(choose_programming, network.layers, targets, chip, wishes.programming)
    found, scales, moved = Calibrated(options, products, {}), dict[str, Tensor](), dict[str, Tensor]()
    shares = {name: layer.shares or (1.0,) * layer.uses for name, layer in network.layers.items()}
    if has_weights:
        found, scales, moved, seen = _with_ranges(pipeline, chip, targets, methods, found)
        shares |= seen
    options = pipeline.decide(partition, network.layers, found.options, chip)
    offered: dict[str, list[LayerOption]] = {name: [] for name in network.layers}
    for (name, _), option in options.items():
        offered[name].append(option)
    records = [
        _record(layer, targets[name], offered[name], samples, shares[name], has_factors=name in network.factors)
        for name, layer in network.layers.items()
    ]
    layers, placement, placed = pipeline.decide(place, records, chip)
    on = {name: assigned.target for name, assigned in targets.items()}
    parameters = parameters_of(network)
    weights = pipeline.decide(account_for_weights, parameters, on, network.traced.model.parameters)
    verified = [pipeline.decide(verify, network, layers, chip, scales)] if has_weights else []
    pipeline.finish()
    return Mapped(
        layers=layers,
        matmuls=[routed.record for routed in found.products.values()],
        weights=weights,
        placement=placement,
        programming=list(methods.values()),
        decisions=[
            *network.decisions,
            *fusion_decisions(network.layers, network.fused, chip),
            *(decision for routed in found.products.values() for decision in routed.decisions),
            *(assigned.decision for assigned in targets.values()),
            *placed,
            *verified,
        ],
        channel_scales=scales,
        moved=moved,
        calibrations=found.inputs,
    )


def _with_ranges(
    pipeline: Pipeline,
    chip: Chip,
    targets: Mapping[str, Assigned],
    methods: Mapping[str, Programming],
    mapped: Calibrated,
) -> tuple[Calibrated, dict[str, Tensor], dict[str, Tensor], dict[str, tuple[float, ...]]]:
    """Run the sample inputs, fold channel scales that are worth it, cut weights and choose ranges.

    Returns, by layer, channel scales that stay digital, all there are, and what experts were seen to read, too.
    """
    network = pipeline.network
    heads = {name: routed.heads for name, routed in mapped.products.items() if routed.heads is not None}
    seen = pipeline.decide(observe, network, heads)
    cases = {
        (name, target): Case(
            network.layers[name],
            network.layer_module(name),
            chip.target(target),
            methods[option.programming] if option.programming is not None else None,
            seen.layer_inputs[name],
            trained=network.trained_of(network.layers[name]) if option.programming is not None else None,
        )
        for (name, target), option in mapped.options.items()
    }
    own = {name: cases[name, assigned.target.name] for name, assigned in targets.items()}
    scales, decisions = pipeline.decide(rescale_channels, _to_rescale(own, cases.values()))
    network.decisions += decisions
    on_tiles = {name: scale for name, scale in scales.items() if own[name].method}
    folded = pipeline.lower(fold_channel_scales, on_tiles)
    left = {name: scale for name, scale in scales.items() if name not in folded}
    inputs = seen.layer_inputs | {name: divided(seen.layer_inputs[name], scales[name]) for name in folded}
    cases = {
        (name, target): replace(case, inputs=inputs[name], channel_scale=left.get(name) if case.method else None)
        for (name, target), case in cases.items()
    }
    options = pipeline.decide(clip_weights, cases, mapped.options)
    return (
        pipeline.decide(calibrate, cases, options, mapped.products, seen.operands, network.traced.trained_products),
        left,
        scales,
        seen.shares,
    )


def _to_rescale(own: Mapping[str, Case], cases: Collection[Case]) -> list[Case]:
    """Cases that channel scales are decided by: of layers whose inputs are converted on their own targets, and of those
    that were trained with ranges for tiles that they may run on. own: by layer, on its own target.
    """
    with_law = {case.layer.name: case for case in reversed([*own.values(), *cases]) if case.trained_range is not None}
    chosen = [with_law.get(name, case) for name, case in own.items()]
    return [case for case in chosen if case.trained_range is not None or case.is_converted]


def _record(
    layer: WeightLayer, assigned: Assigned, options: list[LayerOption], samples: SampleAxes, shares: Sequence[float], *,
    has_factors: bool,
) -> LayerRecord:  # fmt: skip
    return LayerRecord(
        name=layer.name,
        inputs=layer.inputs,
        outputs=layer.outputs,
        has_bias=layer.has_bias,
        has_factors=has_factors,
        parts=list(layer.parts),
        uses=[UseRecord(sample_axis=samples.get((layer.name, use)), share=share) for use, share in enumerate(shares)],
        target=assigned.target.name,
        reason=assigned.reason,
        predicted_loss=None,
        tiles=[],
        options=options,
    )
